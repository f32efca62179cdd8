"""From the client through a real daemon and jailed workers, and back: what a handler does is what is reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from running import new_id, wait_until

from engine.errors import Conflict, FunctionRefused, NotFound

if TYPE_CHECKING:
    from engine.client import Client


def event(kind: str = "track", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "messageId": new_id(), "userId": "u", **fields}


def one(
    client: Client, source: str, *, settings: dict[str, Any] | None = None, **limits: int
) -> dict[str, Any]:
    """The outcome of one track event."""
    name = f"one-{abs(hash((source, str(limits))))}"
    client.deploy(name, source, settings=settings or {}, limits=limits)
    result = client.submit(name, [event(event="x", properties={"n": 1})], wait=True)
    (code,) = result.by_code
    return {"code": code, **result.first_errors.get(code, {})}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return 1", "delivered"),
        ("raise ValueError('no')", "bad_request"),
        ("1 / 0", "bad_request"),
        ("return settings.missing", "invalid_settings"),
        ("raise InvalidEventPayload('x')", "message_rejected"),
        ("raise ValidationError('x')", "message_rejected"),
        ("raise EventNotSupported('x')", "unsupported_event_type"),
        ("raise DropEvent('x')", "dropped"),
        ("raise RetryError('x')", "retry"),
        ("class Mine(RetryError):\n        pass\n    raise Mine('x')", "retry"),
        ("def deep(n):\n        return deep(n + 1)\n    deep(0)", "bad_request"),
        ("fetch('http://127.0.0.1:9/')", "bad_request"),
        ("return 'x' * (10 * 1024 ** 3)", "memory_limit"),
    ],
)
@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_what_a_handler_raises_decides_the_outcome(
    client: Client, keyword: str, body: str, code: str
) -> None:
    assert one(client, f"{keyword} on_track(event, settings):\n    {body}\n")["code"] == code


def test_an_async_handler_that_waits_too_long_is_a_timeout_and_the_next_one_is_not(client: Client) -> None:
    source = "import asyncio\nasync def on_track(event, settings):\n    await asyncio.sleep(event['properties']['s'])\n"
    client.deploy("waits", source, limits={"timeout_ms": 300})
    events = [event(properties={"s": seconds}) for seconds in (0, 30, 0, 0.05)]
    result = client.submit("waits", events, wait=True)
    assert result.by_code == {"delivered": 3, "timeout": 1}


def test_async_handlers_wait_together(client: Client) -> None:
    source = "import asyncio\nasync def on_track(event, settings):\n    await asyncio.sleep(0.2)\n"
    client.deploy("together", source, limits={"concurrency": 20})
    begun = time.monotonic()
    assert client.submit("together", [event() for _ in range(40)], wait=True).delivered == 40
    assert time.monotonic() - begun < 6  # one after the other they would take 8 s


def test_blocking_handlers_scale_out_over_workers(client: Client) -> None:
    client.deploy(
        "blocking", "import time\ndef on_track(event):\n    time.sleep(0.1)\n", limits={"concurrency": 16}
    )
    begun = time.monotonic()
    assert client.submit("blocking", [event() for _ in range(100)], wait=True).delivered == 100
    assert time.monotonic() - begun < 8  # one after the other they would take 10 s


def test_an_error_names_the_authors_line(client: Client) -> None:
    source = "def helper(x):\n    return x['nope']\n\ndef on_track(event):\n    return helper(event)\n"
    outcome = one(client, source)
    assert (outcome["type"], outcome["line"]) == ("KeyError", 2)
    assert [frame["line"] for frame in outcome["traceback"]] == [5, 2]


def test_settings_kept_in_a_global_raise_and_say_why(client: Client) -> None:
    source = "kept = None\ndef on_track(event, settings):\n    global kept\n    kept = kept or settings\n    return kept.key\n"
    client.deploy("kept", source, settings={"key": 1})
    result = client.submit("kept", [event(), event()], wait=True)
    assert result.by_code == {"delivered": 1, "bad_request": 1}
    assert "kept from an earlier invocation" in result.first_errors["bad_request"]["message"]


def test_globals_and_cache_live_as_long_as_the_worker(client: Client) -> None:
    source = (
        "calls = []\n"
        "def make():\n    calls.append(1)\n    return len(calls)\n"
        "def on_track(event):\n    return cache.load('k', 60_000, make)\n"
        "def on_page(event):\n    if len(calls) != 1: raise ValueError(len(calls))\n"
    )
    client.deploy("cached", source)
    assert client.submit("cached", [event() for _ in range(5)], wait=True).delivered == 5
    assert client.submit("cached", [event("page")], wait=True).delivered == 1


def test_a_batch_handler_gets_twenty_events_and_only_its_failures_are_retried(client: Client) -> None:
    source = (
        "def on_batch(events, settings):\n"
        "    if len(events) != 20: raise ValueError(len(events))\n"
        "    return [{'status': e['properties']['status'], 'errormessage': 'no'} for e in events]\n"
        "def on_track(event, settings):\n    raise ValueError('single')\n"
    )
    client.deploy("batch", source)
    statuses = [200] * 17 + [400, 429, 500]
    result = client.submit("batch", [event(properties={"status": status}) for status in statuses], wait=True)
    assert result.by_code == {"delivered": 17, "bad_request": 1, "retry": 2}
    assert (result.retrying, result.discarded) == (2, 1)


def test_under_one_event_a_second_the_single_handlers_run(client: Client) -> None:
    source = "def on_batch(events):\n    raise ValueError('batch')\ndef on_track(event):\n    return 1\n"
    client.deploy("sparse", source, limits={"batch_wait_ms": 2000})
    assert client.submit("sparse", [event()], wait=True).by_code == {"delivered": 1}


def test_a_retry_comes_back_and_is_delivered(client: Client) -> None:
    source = "tries = []\ndef on_track(event):\n    tries.append(1)\n    if len(tries) < 2: raise RetryError('later')\n"
    client.deploy("retry", source)
    assert client.submit("retry", [event()], wait=True).retrying == 1
    wait_until(lambda: client.show("retry")["by_code"].get("delivered") == 1)
    wait_until(lambda: client.show("retry")["stored"] == 0)


def test_a_new_version_takes_over_and_one_that_does_not_load_changes_nothing(client: Client) -> None:
    client.deploy("versions", "def on_track(event):\n    raise ValueError('one')\n")
    assert client.submit("versions", [event()], wait=True).first_errors["bad_request"]["message"] == "one"
    assert client.deploy("versions", "def on_track(event):\n    raise ValueError('two')\n")["version"] == 2
    assert client.submit("versions", [event()], wait=True).first_errors["bad_request"]["message"] == "two"
    for broken in (
        "def on_track(event:\n",
        "import os\ndef on_track(event): pass\n",
        "1/0\ndef on_track(event): pass\n",
    ):
        with pytest.raises(FunctionRefused):
            client.deploy("versions", broken)
    assert client.submit("versions", [event()], wait=True).first_errors["bad_request"]["message"] == "two"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "defines no handler"),
        ("def on_identity(event): pass\n", "on_identity is no handler"),
        ("def on_track(event): pass\ndef onTrack(event): pass\n", "second handler"),
        ("def on_track(a, b, c): pass\n", "takes 3 arguments"),
        ("def on_track(event):\n    yield 1\n", "generator"),
    ],
)
def test_handlers_that_can_not_be_used_are_refused_with_the_reason(
    client: Client, source: str, message: str
) -> None:
    with pytest.raises(FunctionRefused) as refusal:
        client.deploy("refused", source)
    assert message in refusal.value.data["diagnostics"][0]["message"]


def test_a_module_that_never_finishes_loading_is_refused(client: Client) -> None:
    with pytest.raises(FunctionRefused) as refusal:
        client.deploy("endless", "while True: pass\n", limits={"timeout_ms": 200})
    assert refusal.value.data["error"]["type"] == "DeadlineExceeded"


def test_remove_is_refused_while_events_wait(client: Client) -> None:
    client.deploy("waiting", "def on_track(event):\n    raise RetryError('x', after_ms=60_000)\n")
    client.submit("waiting", [event()], wait=True)
    with pytest.raises(Conflict, match="1 events"):
        client.remove("waiting")
    assert client.remove("waiting", discard=True)["discarded"] == 1
    with pytest.raises(NotFound):
        client.show("waiting")


def test_logs_show_failures_with_their_console_lines(client: Client) -> None:
    client.deploy(
        "logs",
        "def on_track(event):\n    console.warn('about to', 1)\n    print('x')\n    raise ValueError('no')\n",
    )
    client.submit("logs", [event()], wait=True)
    (line,) = client.logs("logs")
    assert line["code"] == "bad_request"
    assert line["logs"] == [{"level": "warn", "message": "about to 1"}, {"level": "info", "message": "x"}]


def test_a_header_that_lies_about_its_body_is_rejected(client: Client) -> None:
    from engine.events import encode_events

    client.deploy("lies", "def on_track(event): pass\ndef on_page(event): pass\n")
    honest = encode_events([event(), event()])
    lying = honest._replace(types=bytes([honest.types[0], 2]))
    assert client.submit("lies", lying, wait=True).by_code == {"delivered": 1, "message_rejected": 1}
    garbage = honest._replace(message_ids=[new_id(), new_id()], sizes=[1, 1], bodies=b"\xc1\x01")
    assert client.submit("lies", garbage, wait=True).by_code == {"message_rejected": 2}


def test_test_runs_a_function_that_is_not_deployed(client: Client) -> None:
    source = "def on_track(event, settings):\n    print('hi')\n    return settings.k\n"
    (result,) = client.test(source, [event()], settings={"k": 5})
    assert (result.ok, result.result, result.error) == (True, "5", None)
    assert result.logs == [{"level": "info", "message": "hi"}]
