"""The link to TrackMania 2020 and to its stand-in: telemetry, window, reward lines, and tmrl in a child process."""
