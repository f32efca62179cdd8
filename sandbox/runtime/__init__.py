"""What a handler sees."""
