"""Tries settings on this machine, and says which it would choose; `engine tune` runs it."""
