"""Pure: secrets out of what people see.

A secret is looked for as it is, and as it looks in base64 (at each of the three places it can have in a longer text,
as a password in `Authorization: Basic` does), percent-encoded, and inside JSON.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET_CHARS_MIN: Final = 6
"""What is shorter would blank half of every text, and is no secret."""
SECRETS_MAX: Final = 256
BLANK: Final = "[secret]"


class Blanker:
    """Replaces every secret, in every spelling it is looked for in, with `[secret]`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({text for text in secrets if len(text) >= SECRET_CHARS_MIN})[:SECRETS_MAX]
        spellings = {form for secret in known for form in spellings_of(secret)}
        ordered = sorted(spellings, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self.longest = len(ordered[0]) if ordered else 0
        """Characters of the longest spelling: whoever cuts a text keeps so much more until it is blanked."""

    def blank(self, text: str, chars_max: int | None = None) -> str:
        """The text without secrets, and of it what came from the first `chars_max` characters.

        Give it `longest` characters more than `chars_max`: a secret that the cut would halve is then found whole.
        """
        stop = len(text) if chars_max is None else chars_max
        if self._pattern is None:
            return text[:stop]
        parts, at = [], 0
        for match in self._pattern.finditer(text):
            if match.start() >= stop:
                break
            parts += [text[at : match.start()], BLANK]
            at = match.end()
        parts.append(text[at : max(at, stop)])
        return "".join(parts)


def spellings_of(secret: str) -> set[str]:
    """A secret as it may stand in a text."""
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {form.replace("/", "\\/") for form in forms}
    forms |= _base64(secret.encode("utf-8", "replace"))
    for form in tuple(forms):
        for encoded in (quote(form, safe=""), quote(form), quote_plus(form)):
            forms |= {encoded, re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), encoded)}
    return {form for form in forms if len(form) >= SECRET_CHARS_MIN}


def _base64(raw: bytes) -> set[str]:
    """The characters that the secret alone decides, at each of its three places within a group of three bytes."""
    forms = set()
    for before in range(3):
        text = base64.b64encode(b"\x00" * before + raw).decode("ascii")
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        forms |= {text[first:last], text[first:last].translate(str.maketrans("+/", "-_"))}
    return forms
