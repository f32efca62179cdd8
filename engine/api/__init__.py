"""From outside to operations: transport, who is calling, what may be asked."""
