"""`traceback.format_exc`: the author's own lines, and no frame."""

from __future__ import annotations

import sys

from sandbox.names import USER_MODULE, unmangle


def format_exc(limit: int | None = None) -> str:
    """The error being handled, as text."""
    error = sys.exception()
    if error is None:
        return "NoneType: None\n"
    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") == USER_MODULE:
            lines.append(
                f'  File "{frame.f_code.co_filename}", line {traceback.tb_lineno}, in {unmangle(frame.f_code.co_name)}\n'
            )
        traceback = traceback.tb_next
    kept = lines[:limit] if limit is not None else lines
    return "".join(["Traceback (most recent call last):\n", *kept, f"{type(error).__name__}: {error}\n"])
