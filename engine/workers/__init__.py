"""Processes seen from outside."""
