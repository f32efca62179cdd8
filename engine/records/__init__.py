"""What happened: counters by minute, hour and day, and every attempt that failed. It may be lost; deliveries never wait for it."""
