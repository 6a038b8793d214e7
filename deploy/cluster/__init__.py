"""Several machines as one Ray cluster: the node of each, and what brings all up and down."""
