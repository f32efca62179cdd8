"""Secrets out of what an invocation leaves behind: console lines, errors, results.

It keeps out what is printed or raised without a thought, as the author's `print(settings.apiKey)` does. Code that wants to
tell its own secrets can spell them in a way that is not looked for.
"""

from __future__ import annotations

import base64
import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHARS_MIN: Final = 6
"""What is shorter would mask half of every text, and is no secret."""
SECRETS_MAX: Final = 1_000
NEVER: Final = rb"(?!)"


class Mask:
    """Stars over every secret of a destination, however often and in whichever usual spelling it stands there."""

    def __init__(self, values: Iterable[Any]) -> None:
        """`values` are those of the sensitive settings: texts, or lists and maps of them."""
        self._values = list(values)

    def over(self, packed: bytes) -> bytes:
        """A packed text, or whatever is packed and holds texts.

        A secret becomes as many stars as it has bytes, so that the lengths that stand before texts stay right.
        """
        return self._pattern.sub(_stars, packed) if self._values else packed

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """Made when something is told for the first time: most workers never fail, and none should start later for it."""
        texts = [text for value in self._values for text in _texts(value) if len(text) >= CHARS_MIN]
        spellings = {spelling for text in texts[:SECRETS_MAX] for spelling in _spellings(text)}
        longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
        return re.compile(b"|".join(map(re.escape, longest_first)) if longest_first else NEVER)


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _spellings(text: str) -> Iterator[bytes]:
    """As it is, and as `repr`, JSON, URLs and base64 write it."""
    for written in (
        text,
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        quote(text),
        quote(text, ""),
        quote_plus(text),
    ):
        yield written.encode("utf-8", "replace")
    encoded = text.encode("utf-8", "replace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(encoded).rstrip(b"=")
