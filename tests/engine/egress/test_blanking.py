from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.access import secrets_of
from engine.egress.blanking import BLANK, Blanker
from engine.egress.trace import SECRET_HEADERS, Ring, Trace

SECRET = 'sk/live+"ä" \\ 1234'


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        urlencode({"key": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        *(base64.b64encode(b"u" * before + b":" + SECRET.encode() + b"x").decode() for before in range(4)),
        quote(base64.b64encode(SECRET.encode()).decode(), safe=""),
    ],
)
def test_a_secret_is_blanked_however_it_is_spelt(text: str) -> None:
    blanked = Blanker([SECRET]).blank(f"before {text} after")
    assert BLANK in blanked
    assert blanked.startswith("before ")
    assert blanked.endswith(" after")
    assert "1234" not in blanked
    assert not Blanker([SECRET])._pattern.search(blanked)  # type: ignore[union-attr]


@given(st.text(min_size=6, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_no_secret_is_left_as_it_is_or_in_json(secret: str, before: str, after: str) -> None:
    blanked = Blanker([secret]).blank(before + secret + after)
    assert secret not in blanked.replace(BLANK, "\x00")


def test_short_texts_are_no_secrets() -> None:
    assert Blanker(["a", "12345"]).blank("a 12345") == "a 12345"
    assert Blanker([]).blank("anything") == "anything"


def test_a_cut_halves_no_secret() -> None:
    blanker = Blanker(["0123456789"])
    for before in range(30):
        text = "x" * before + "0123456789" + "y" * 30
        kept = blanker.blank(text[: 20 + blanker.longest], 20)
        assert "0123" not in kept, before
        assert kept.startswith("x" * min(before, 20))


def test_every_text_of_the_settings_is_taken_for_a_secret() -> None:
    settings = {
        "key": "secret-1", "short": "abc", "number": 123456789, "nested": {"list": ["secret-2", None]},
        "hook": "https://hooks.example.com/services/T000/B000/XXXXXXXXXXXXXXXXXXXXXXXX", "api": "https://api.example.com",
    }  # fmt: skip
    found = secrets_of(msgpack.packb(settings))
    assert set(found) == {
        "secret-1", "secret-2", "/services/T000/B000/XXXXXXXXXXXXXXXXXXXXXXXX", "XXXXXXXXXXXXXXXXXXXXXXXX",
    }  # fmt: skip
    blanker = Blanker(found)
    assert blanker.blank(settings["hook"]) == "https://hooks.example.com[secret]"
    assert secrets_of(b"\xc1garbage") == ()


def trace(invocation: int, body: bytes = b"") -> Trace:
    return Trace(
        invocation,
        0,
        "POST",
        "https://a/?k=secret-1",
        [("Authorization", "x"), ("X-Own", "y")],
        body,
        len(body),
    )


def test_a_trace_is_shown_without_secrets_and_with_four_kib_of_a_body() -> None:
    entry = trace(1, b"a" * 4_090 + b"secret-1" + b"b" * 100)
    entry.response_headers = [("Set-Cookie", "s"), ("X-Echo", "secret-1")]
    shown = entry.as_map(Blanker(["secret-1"]), SECRET_HEADERS | {"x-own"}, 4_096)
    assert shown["url"] == "https://a/?k=[secret]"
    assert shown["request_headers"] == [["Authorization", "[secret]"], ["X-Own", "[secret]"]]
    assert shown["response_headers"] == [["Set-Cookie", "[secret]"], ["X-Echo", "[secret]"]]
    assert shown["request_body"] == "a" * 4_090 + "[secret]"


def test_a_ring_keeps_the_last_traces_within_its_bytes() -> None:
    ring = Ring(10_000)
    for at in range(100):
        ring.add(trace(at, bytes(1_000)))
    assert [entry.invocation for entry in ring.of(frozenset(range(100)))] == [94, 95, 96, 97, 98, 99]
    ring.add(trace(7, bytes(50_000)))
    assert [entry.invocation for entry in ring.of(frozenset({7, 99}))] == [7]


def test_a_ring_forgets_what_nobody_can_ask_for_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("engine.egress.trace.time.monotonic", lambda: now[0])
    ring = Ring(1_000_000)
    for at in range(3):
        ring.add(trace(at, bytes(10)))
        now[0] += 10
    ring.forget(115.0)
    assert [entry.invocation for entry in ring.of(frozenset(range(3)))] == [2]
