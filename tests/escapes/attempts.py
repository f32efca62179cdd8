"""What an attempt to get out is, and the three ways in which each is made.

    unjailed    the same code as plain Python in a process of its own: it succeeds, so the test would see it succeed
    engine      as a function of a real daemon: it does not
    jailed      as plain Python in a jailed worker: what it came for it doesn't get, or what it gets is of no use

An attempt is a source with `attempt()`, or with a handler where it matters that there are several invocations. What it
returns (or prints) is its evidence; it has succeeded if `reveals` is found there.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final, Literal

CANARY: Final = "canary-5e1f0b"
"""Stands in a file, and in the environment of the daemon and of the unjailed process."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way out."""

    name: str
    source: str
    """`@FILE@` is a file that holds the canary, `@FOLDER@` its folder, `@PORT@` a listener on loopback, `@PID@` a process
    to be killed."""
    reveals: str = CANARY
    """A regular expression."""
    jailed: Literal["nothing", "useless"] = "useless"
    """In the jail, without the language layer: it fails, or what it gets leads to no file, socket or process."""
    events: int = 1
    """Invocations in the same worker; the last one's evidence counts."""
    witness: str = ""
    """A second function whose evidence counts instead: what reached it. Unjailed it runs in the same process."""
    is_ended: bool = False
    """What ends an invocation comes after 50 ms: here it is to be held back."""
    timeout_ms: int = 1_000
    memory_mib: int = 128
    patience_s: float = 5.0
    """Whoever runs longer than this where nothing else ends it is ended, and was "still running"."""
    ends_as: str = ""
    """The outcome's code, where the code must run and be ended."""

    def __str__(self) -> str:
        return self.name

    def as_function(self) -> str:
        """The source as a function of the engine."""
        return _with_handler(self.source)

    def as_witness(self) -> str:
        """The witness as a function of the engine."""
        return _with_handler(self.witness)

    def as_plain(self, *sources: str) -> str:
        """Functions as plain Python, one after the other; `result` is the last one's evidence."""
        runs = "".join(
            f"exec(compile({source!r}, 'attempt.py', 'exec'), globals())\nresult = _run({self.events})\n"
            for source in sources
        )
        return f"_DEADLINE_S = {0.05 if self.is_ended else 0}\n{_PLAIN}\n{runs}"


def _with_handler(source: str) -> str:
    source = textwrap.dedent(source)
    if "def on_track" in source:
        return source
    wait = ("async ", "await ") if "async def attempt" in source else ("", "")
    return f"{source}\n{wait[0]}def on_track(event, settings):\n    return {wait[1]}attempt()\n"


_PLAIN: Final = """
import asyncio, signal
from sandbox.runtime.scope import Scope
from sandbox.runtime.settings import Settings, retire
globals().update(Scope().names())
_printed = []
def print(*values, **_): _printed.append(" ".join(map(str, values)))
class _Deadline(BaseException): pass
def _late(*_): raise _Deadline
async def _bounded(awaitable):
    task = asyncio.ensure_future(awaitable)
    if _DEADLINE_S:
        asyncio.get_running_loop().call_later(_DEADLINE_S, task.cancel)
    return await task
def _loop():
    try:
        return asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        return asyncio.SelectorEventLoop()
def _run(events):
    evidence = []
    loop = _loop()
    for n in range(events):
        _printed.clear()
        settings = Settings({"apiKey": "of this event"})
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, _DEADLINE_S)
        try:
            answer = on_track({"type": "track", "event": "E", "n": n}, settings)
            if hasattr(answer, "__await__"):
                signal.setitimer(signal.ITIMER_REAL, 0)
                answer = loop.run_until_complete(_bounded(answer))
            evidence = [answer]
        except (Exception, _Deadline):
            evidence = []
        signal.setitimer(signal.ITIMER_REAL, 0)
        if n < events - 1:
            retire(settings)
        evidence += _printed
    return " ".join(map(str, evidence))
"""
"""The engine's own names, with nothing between them and the code; a deadline that raises, as the engine's does."""

SHOWN: Final = "\nshown\n"
SHOW: Final = f"""
import builtins
builtins.print(result, {SHOWN!r}, sep="", end="")
"""
PROBES: Final = """
def _probe(name, get):
    try:
        get()
    except BaseException as error:
        return
    builtins.print("reached", name)
import os, socket
_probe("a file", lambda: builtins.open("@FILE@").read())
_probe("the environment", lambda: os.environ["CANARY"])
_probe("another process", lambda: os.kill(@PID@, 0))
_probe("a process of its own", lambda: os._exit(0) if os.fork() == 0 else None)
_probe("a socket", lambda: socket.create_connection(("127.0.0.1", @PORT@), 1).close())
"""
"""What an attempt would be made for. The last ones may cost a jailed worker its life."""
