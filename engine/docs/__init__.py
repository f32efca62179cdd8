"""Documentation for authors, operators and contributors; `python -m engine.docs` fills its tables from the code."""
