"""The demo: recorded events through a deployed function, on a real daemon."""
