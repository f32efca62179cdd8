"""One module a command group; each command but `serve` and `test` is a client call."""
