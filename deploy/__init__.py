"""The command line and the launcher: the only place that wires the other packages together."""
