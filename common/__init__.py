"""The vocabulary that every other package shares; it imports none of them."""
