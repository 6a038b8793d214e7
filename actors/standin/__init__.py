"""The stand-in: a simulated TrackMania in a window of its own, for demos, tests and broken games."""
