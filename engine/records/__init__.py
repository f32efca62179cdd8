"""What happened: counters, recent failures, console lines."""
