"""Secrets are masked in what invocations leave behind."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.worker.masking import CHARS_MIN, Mask

SECRET = 'p"ss wörd/+\\n'


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        repr({"key": SECRET}),
        json.dumps([SECRET]),
        quote(SECRET),
        quote(SECRET, ""),
        base64.b64encode(SECRET.encode()).decode(),
        f"Basic {base64.urlsafe_b64encode(SECRET.encode()).decode()}",
    ],
)
def test_a_secret_is_masked_in_its_usual_spellings(spelling: str) -> None:
    packed = msgpack.packb([{"message": f"before {spelling} after"}])
    (masked,) = msgpack.unpackb(Mask([SECRET]).over(packed))
    assert masked["message"].startswith("before ")
    assert masked["message"].endswith(" after")
    assert "*" * CHARS_MIN in masked["message"]
    assert "ss w" not in masked["message"]
    assert spelling not in masked["message"]


def test_secrets_are_found_in_lists_and_maps_and_the_longest_goes_first() -> None:
    mask = Mask([["secret-1"], {"a": "secret-1-more"}, 5, True, None, "short"])
    assert mask.over(b"secret-1-more secret-1 short") == b"************* ******** short"


def test_without_secrets_nothing_is_changed() -> None:
    assert Mask([]).over(b"anything") == b"anything"


@given(st.lists(st.text('ab"\\\\é', max_size=9), max_size=3), st.text('ab"\\\\é ', max_size=40))
def test_what_is_packed_stays_readable_and_as_long(secrets: list[str], text: str) -> None:
    packed = msgpack.packb([text, {"k": text}])
    masked = Mask(secrets).over(packed)
    assert len(masked) == len(packed)
    shown, _ = msgpack.unpackb(masked)
    assert not any(secret in shown for secret in secrets if len(secret) >= CHARS_MIN and "*" not in secret)
