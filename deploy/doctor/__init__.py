"""What is wrong on this machine, or between it and the game, and how to fix it."""
