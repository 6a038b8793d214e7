"""The commands of ``apexmania``, one module each; they parse, print and call, nothing more."""
