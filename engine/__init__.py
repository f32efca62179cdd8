"""Runs users' Python safely and fast on a stream of events. `engine.client` is the public API."""
