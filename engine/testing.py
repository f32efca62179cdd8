"""A pytest plugin for functions: they run in the same jailed workers as in the engine, and their HTTP is answered by mocks.

    def test_a_busy_api_is_asked_again(deploy):
        fn = deploy("function.py", settings={"url": "https://api.example.com/track"})
        fn.mock("POST", "https://api.example.com/track", status=503)
        result = fn.send({"type": "track", "event": "Signed Up", "userId": "u"})
        assert result.error.code == "retry"
        assert result.requests[0].json == {"name": "Signed Up"}

A request that nobody mocked fails the test. `deploy(…, now="2026-01-01T00:00:00Z", seed=1)` has time stand still and
randomness repeat. Installed with the engine; pytest finds it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine.errors import FunctionRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from pathlib import Path

    from engine.dispatch.trial import Trial
    from engine.workbench import Workbench

BODY_BYTES: Final = 256 * 1024
"""Of a request and of a response, shown to a test."""
WAIT_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the function made. Nothing of it is blanked."""

    method: str
    url: str
    headers: dict[str, str]
    """Names in lower case."""
    body: str
    status: int | None
    """What was answered; None if nothing was."""
    error: str | None
    """`timeout`, `connection` …: how it failed."""

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it isn't."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Error:
    """Why an event was not delivered."""

    code: str
    """The outcome code: `retry`, `bad_request`, `message_rejected` …"""
    type: str
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one event."""

    ok: bool
    """It was delivered, or dropped on purpose."""
    error: Error | None
    result: str | None
    """`repr` of what the handler returned."""
    logs: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


class Function:
    """A function in a worker of its own, for one test: globals and cache last from one `send` to the next."""

    def __init__(self, rig: Rig, trial: Trial) -> None:
        self._rig = rig
        self._trial = trial
        self._mocks: list[dict[str, Any]] = []

    def mock(
        self,
        method: str,
        url: str,
        *,
        status: int = 200,
        json: Any = None,
        text: str | None = None,
        headers: dict[str, str] | None = None,
        error: str | None = None,
    ) -> None:
        """Answer this request so from now on; the last mock that fits counts.

        `*` is any method, and a URL that ends in `*` every URL that begins so. `error` fails the fetch instead: one of
        `timeout`, `connection`, `refused`, `too_large`. Raises `UsageError` on what no response can be.
        """
        answer: dict[str, Any] = (
            {"error": error} if error is not None else {"status": status, "headers": headers or {}}
        )
        if error is None and json is not None:
            answer["json"] = json
        if error is None and text is not None:
            answer["text"] = text
        self._mocks.append({"method": method, "url": url, **answer})
        self._rig.call(self._remock())

    async def _remock(self) -> None:
        self._trial.mock(self._mocks)

    def send(self, event: dict[str, Any]) -> Result:
        """Run the handler of this event. Fails the test if it makes a request that nobody mocked."""
        return self._send([event], batch=False)[0]

    def send_batch(self, events: Sequence[dict[str, Any]]) -> list[Result]:
        """Run `on_batch`; a result an event, of which the first has what all have in common."""
        return self._send(list(events), batch=True)

    def _send(self, events: list[dict[str, Any]], *, batch: bool) -> list[Result]:
        from engine.workbench import run  # noqa: PLC0415  heavy: only tests of functions need it

        results = [_result(item) for item in self._rig.call(run(self._trial, events, batch=batch))]
        strays = [item for result in results for item in result.requests if item.error == "unmocked"]
        if strays:
            pytest.fail(
                f"nobody mocked {strays[0].method} {strays[0].url}; "
                f'add fn.mock("{strays[0].method}", "{strays[0].url}", status=200)',
                pytrace=False,
            )
        return results

    def close(self) -> None:
        """End its worker."""
        self._rig.call(self._close())

    async def _close(self) -> None:
        self._trial.close()


class Rig:
    """Owner of a thread with an event loop, and of the workbench on it: one for all tests of a run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._bench: Workbench = self.call(self._start())

    @staticmethod
    async def _start() -> Workbench:
        from engine import log  # noqa: PLC0415  heavy: only tests of functions need it
        from engine.workbench import Workbench  # noqa: PLC0415  the same

        log.configure(log_format="text", level="error")
        return await Workbench().__aenter__()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Its result; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S_MAX)

    def load(self, **function: Any) -> Function:
        """A function in a fresh worker. Fails the test, naming lines, if it doesn't compile or load."""
        try:
            return Function(self, self.call(self._bench.load(**function)))
        except FunctionRefused as error:
            reasons = error.data.get("diagnostics") or [error.data.get("error") or {}]
            lines = [f"line {item.get('line')}: {item.get('message')}" for item in reasons if item]
            pytest.fail("\n  ".join([error.message, *lines]), pytrace=False)

    def close(self) -> None:
        """End every process."""
        self.call(self._bench.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S_MAX)
        self._loop.close()


def _result(item: dict[str, Any]) -> Result:
    error = item["error"]
    return Result(
        item["ok"],
        None if error is None else Error(error["code"], error["type"], error["message"], error["line"]),
        item["result"],
        [line["message"] for line in item["logs"]],
        [
            Request(
                request["method"],
                request["url"],
                {name.lower(): value for name, value in request["request_headers"]},
                request["request_body"],
                request["status"],
                request["error"],
            )
            for request in item["requests"]
        ],
    )


@pytest.fixture(scope="session")
def _engine_rig() -> Iterator[list[Rig]]:
    """Started by the first test that deploys something."""
    started: list[Rig] = []
    yield started
    for rig in started:
        rig.close()


@pytest.fixture
def deploy(request: pytest.FixtureRequest, _engine_rig: list[Rig]) -> Iterator[Callable[..., Function]]:
    """`deploy(file, settings={…}, limits={…}, now="2026-01-01T00:00:00Z", seed=1)`: a function to send events to.

    `file` is looked for beside the test. `now` (ISO 8601) has its time stand still, `seed` its randomness repeat.
    """
    if not _engine_rig:
        _engine_rig.append(Rig())
    deployed: list[Function] = []

    def load(
        file: str | Path,
        *,
        settings: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        now: str | None = None,
        seed: int | None = None,
    ) -> Function:
        path = request.path.parent / file
        function = _engine_rig[0].load(
            source=path.read_text("utf-8"),
            filename=path.name,
            settings=settings or {},
            limits=limits or {},
            mocks=[],
            trace_body_bytes=BODY_BYTES,
            is_blanked=False,
            pinned_ms=None if now is None else _milliseconds(now),
            seed=seed,
        )
        deployed.append(function)
        return function

    yield load
    for function in deployed:
        function.close()


def _milliseconds(now: str) -> int:
    moment = datetime.fromisoformat(now)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
