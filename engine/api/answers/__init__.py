"""What operations answer, as models: the description of the HTTP API is made of them, and tests hold real answers against them.

Answers aren't checked when they are given. Times are ISO 8601 in UTC unless their name ends in `_ms`. What comes from
users' code (errors, console lines, HTTP exchanges) has no more of a shape than is said here.
"""
