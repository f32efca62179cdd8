"""Accepted event → settled delivery."""
