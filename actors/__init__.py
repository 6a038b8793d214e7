"""Games, the policy that drives them, and the writer that appends what they saw to the log."""
