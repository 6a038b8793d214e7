"""Measures what one more actor costs: synthetic actors against a real Redis, service and ingest."""
