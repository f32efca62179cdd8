"""Files of mocks: what `engine test --mock` answers from, and `--record` writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEPT_HEADERS: Final = frozenset({"content-type", "location", "retry-after", "link", "etag"})
"""Of a recorded answer: what a function may go by."""
_NO_ANSWERS: Final = frozenset({"cancelled", "unmocked", "invalid"})


def read(path: Path) -> list[dict[str, Any]]:
    """A JSON array of objects. Raises `UsageError`; what each must hold is checked where it is used."""
    try:
        items = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}", remedy="write it with --record FILE"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}", remedy="write it with --record FILE") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{path} holds no array of mocks", remedy="write it with --record FILE")
    return items


def write(path: Path, results: Sequence[dict[str, Any]]) -> int:
    """Every answer that these results were given, as mocks; how many there are. Raises `UsageError`."""
    mocks = [
        _recorded(request)
        for result in results
        for request in result["requests"]
        if request["error"] not in _NO_ANSWERS
    ]
    try:
        path.write_text(json.dumps(mocks, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} can't be written: {error.strerror}", remedy="choose another place"
        ) from None
    return len(mocks)


def _recorded(request: dict[str, Any]) -> dict[str, Any]:
    about = {"method": request["method"], "url": request["url"]}
    if request["error"]:
        return {**about, "error": request["error"]}
    headers = {name: value for name, value in request["response_headers"] if name.lower() in _KEPT_HEADERS}
    return {**about, "status": request["status"], "headers": headers, "text": request["response_body"]}
