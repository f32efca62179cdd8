"""Globs → regular expressions that can't run away.

`*` is any characters, `?` one, a backslash takes the next character as it is. Between stars stand pieces of fixed length;
each is looked for once, from where the last one ended, which finds a match if there is one. The atomic groups say
so to the matcher: without them a glob of n stars costs the n-th power of the text's length.
"""

from __future__ import annotations

import re


def pattern_of(glob: str) -> str:
    """For `re.compile(…, re.DOTALL).fullmatch`."""
    head, *rest = _pieces(glob)
    if not rest:
        return head
    *middle, tail = rest
    return head + "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + tail


def _pieces(glob: str) -> list[str]:
    """A regular expression for each stretch between stars."""
    pieces = [""]
    at = 0
    while at < len(glob):
        char = glob[at]
        if char == "\\" and at + 1 < len(glob):
            at += 1
            pieces[-1] += re.escape(glob[at])
        elif char == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if char == "?" else re.escape(char)
        at += 1
    return pieces
