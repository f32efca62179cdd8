"""Guides for authors, operators and contributors; `python -m engine.docs` fills their tables from the code."""
