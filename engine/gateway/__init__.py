"""HTTP for the daemon, as a process of its own and a client of its socket; README.md."""
