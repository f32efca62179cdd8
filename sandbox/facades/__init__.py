"""Modules that need other behaviour, not only fewer names."""
