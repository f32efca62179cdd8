"""Figures to tune with: one program a figure, each beside the floor from the same run."""
