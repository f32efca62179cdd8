"""The language of a destination's filter: text → checked rules → a program for workers, and what headers alone decide."""
