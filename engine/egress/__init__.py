"""HTTP on behalf of handlers: a process of its own, and the rules of what it may call."""
