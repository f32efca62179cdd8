"""`python -m engine.egress FD`: started by the supervisor, never by hand."""

from engine.egress.gateway import main

main()
