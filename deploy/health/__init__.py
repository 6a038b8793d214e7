"""See at a glance whether a run will work: rules over its figures, their states, alerts."""
