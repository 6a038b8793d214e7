"""Every figure that the system reports: name, unit, meaning, healthy range, what a bad value means."""
