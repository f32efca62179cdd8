"""Limits that bite: whatever a handler spends without end, its own event has a named outcome, and soon.

Each case is deployed to a real daemon as `def` and as `async def`; `timeout_ms` and `memory_mib` are small.
"""

from __future__ import annotations

import base64
import textwrap
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from running import new_id

from engine.errors import FunctionRefused

if TYPE_CHECKING:
    from engine.client import Client

TIMEOUT_MS = 300
"""For what runs until its deadline."""
PATIENT_MS = 5_000
"""For what ends otherwise, however busy the machine is."""
MEMORY_MIB = 24
LATE_MS = 500
"""How long after its deadline an outcome is there at the latest."""
TRIES = 3
"""A machine that is busy with other tests may be late itself; an engine that is late is so each time."""

SPENT_MEMORY = {
    "a long text": "'x' * 10 ** 10",
    "wide formatting": "f'{1:1000000000}'",
    "wide formatting by %": "'%1000000000d' % 1",
    "wide formatting by method": "'{:>{}}'.format(1, 10 ** 9)",
    "a text adjusted": "'x'.ljust(10 ** 9)",
    "a text replaced": "('x' * 10 ** 5).replace('x', 'y' * 10 ** 5)",
    "a text joined": "('y' * 10 ** 5).join('x' * 10 ** 5)",
    "a long list": "[0] * 10 ** 10",
    "a list of a range": "list(range(10 ** 9))",
    "bytes of a number": "bytes(10 ** 10)",
    "a number shifted": "1 << 10 ** 10",
    "doubling": "x = [0]\nwhile True:\n    x = x + x",
    "many texts, kept in a global": "global kept\nkept = []\nwhile True:\n    kept.append('x' * 10000 + str(len(kept)))",
    "small objects, kept in a global": "global kept\nkept = []\nwhile True:\n    kept.append([len(kept)])",
    "a generator's list": "[x for x in iter(lambda: 'x' * 1000 + str(id), None)]",
    "permutations": "import itertools\nlist(itertools.product(range(1000), repeat=3))",
}
SPENT_TIME = {
    "a loop": "while True:\n    pass",
    "a loop in C": "import itertools\nsum(itertools.repeat(1))",
    "a regular expression": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "sleeping": "import time\ntime.sleep(60)",
    "a number to a power": "10 ** 10 ** 8",
    "a factorial": "import math\nmath.factorial(10 ** 7)",
    "digits": "x = 7 ** 10 ** 6\nfor _ in range(10 ** 6):\n    x = x * x % (x - 2)",
    "everything is caught": "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    "a finally that goes on": "try:\n    while True:\n        pass\nfinally:\n    while True:\n        pass",
    "a console without end": "while True:\n    print('x' * 100000)",
    "cache keys without end": "n = 0\nwhile True:\n    n += 1\n    CACHE(str(n), lambda: n)",
    "an error whose text never ends": (
        "class E(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise E()"
    ),
}
ERRORS = {
    "recursion": "def f():\n    return f()\nf()",
    "recursion by two": "def f():\n    return g()\ndef g():\n    return f()\nf()",
    "recursion in repr": "class A:\n    def __repr__(self):\n        return repr(self)\nrepr(A())",
    "recursion in str of the error": (
        "class E(Exception):\n    def __str__(self):\n        return str(self)\nraise E()"
    ),
    "recursion in eq": "class A:\n    def __eq__(self, other):\n        return self == other\nA() == A()",
    "json of nested lists": "import json\nx = []\nfor _ in range(10 ** 5):\n    x = [x]\njson.dumps(x)",
    "nested json": "import json\njson.loads('[' * 10 ** 6)",
    "a nested pattern": "import re\nre.compile('(' * 10 ** 5 + ')' * 10 ** 5)",
    "a copy of nested lists": "import copy\nx = []\nfor _ in range(10 ** 5):\n    x = [x]\ncopy.deepcopy(x)",
    "a long message": "raise ValueError('x' * 10 ** 7)",
    "many arguments": "raise ValueError(*range(10 ** 5))",
    "nested groups": (
        "e = ValueError('x')\nfor _ in range(10 ** 4):\n    e = ExceptionGroup('g', [e])\nraise e"
    ),
    "a long chain": (
        "def f(n):\n    try:\n        if n:\n            f(n - 1)\n        1 / 0\n    except ZeroDivisionError as e:\n        raise ValueError(n) from e\nf(200)"
    ),
}
HARMLESS = {
    "gigabytes of console output": "line = 'x' * 10 ** 6\nfor _ in range(2000):\n    print(line)",
    "ten thousand lines": "for n in range(10 ** 4):\n    print(n)",
    "more cache keys than are kept": "for n in range(30000):\n    CACHE(str(n), lambda: 'x' * 1000)",
    "a huge result": "return 'x' * 10 ** 7",
    "a result within itself": "x = []\nx.append(x)\nreturn x",
    "a result nested deeply": "x = []\nfor _ in range(10 ** 5):\n    x = [x]\nreturn x",
    "a result that can't be shown": "class A:\n    def __repr__(self):\n        raise ValueError\nreturn A()",
}


def source(keyword: str, body: str) -> str:
    wait = "await " if keyword == "async def" else ""
    lines = textwrap.indent(body.replace("CACHE(", f"{wait}cache.load("), "    ")
    return f"{keyword} on_track(event, settings):\n{lines}\n"


def outcome(client: Client, text: str, timeout_ms: int = PATIENT_MS) -> tuple[str, float, dict[str, Any]]:
    """Code, milliseconds and error of one event of a fresh destination, which is removed with its retries."""
    client.deploy("limited", text, limits={"timeout_ms": timeout_ms, "memory_mib": MEMORY_MIB})
    event = {"type": "track", "messageId": new_id(), "userId": "u", "event": "x"}
    begun = time.monotonic()
    result = client.submit("limited", [event], wait=True)
    elapsed_ms = (time.monotonic() - begun) * 1000
    client.remove("limited", discard=True)
    (code,) = result.by_code
    return code, elapsed_ms, result.first_errors.get(code, {})


both = pytest.mark.parametrize("keyword", ["def", "async def"])


@both
@pytest.mark.parametrize("body", SPENT_MEMORY.values(), ids=SPENT_MEMORY)
def test_memory_without_end_is_a_memory_limit(client: Client, keyword: str, body: str) -> None:
    code, _, _ = outcome(client, source(keyword, body))
    assert code == "memory_limit"


@both
@pytest.mark.parametrize("body", SPENT_TIME.values(), ids=SPENT_TIME)
def test_time_without_end_is_a_timeout(client: Client, keyword: str, body: str) -> None:
    for _ in range(TRIES):
        code, elapsed_ms, _ = outcome(client, source(keyword, body), TIMEOUT_MS)
        assert code == "timeout"
        if elapsed_ms < TIMEOUT_MS + LATE_MS:
            return
    pytest.fail(f"the outcome was there after {elapsed_ms:.0f} ms")


@both
def test_memory_without_end_whose_errors_are_caught_is_named_too(client: Client, keyword: str) -> None:
    body = """
kept = []
while True:
    try:
        while True:
            kept.append('x' * 10000 + str(len(kept)))
    except MemoryError:
        pass
"""
    code, _, _ = outcome(client, source(keyword, body), TIMEOUT_MS)
    assert code in {"memory_limit", "timeout"}


@both
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS)
def test_depth_and_length_without_end_are_the_functions_error(
    client: Client, keyword: str, body: str
) -> None:
    code, _, error = outcome(client, source(keyword, body))
    assert (code, len(str(error)) < 10_000) == ("bad_request", True)


@both
@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_what_is_bounded_anyway_is_delivered(client: Client, keyword: str, body: str) -> None:
    code, _, error = outcome(client, source(keyword, body))
    assert code == "delivered", error


@pytest.fixture(scope="module")
def bomb() -> str:
    return base64.b85encode(zlib.compress(bytes(100_000_000))).decode()


@pytest.mark.parametrize(
    "call", ["zlib.decompress(DATA)", "gzip.decompress(gzip.compress(zlib.decompress(DATA)))"]
)
def test_a_decompression_bomb_fails_by_name(client: Client, bomb: str, call: str) -> None:
    text = f"import base64, gzip, zlib\nDATA = base64.b85decode('''{bomb}''')\ndef on_track(event, settings):\n    {call}\n"
    code, _, _ = outcome(client, text)
    assert code in {"memory_limit", "bad_request"}


@pytest.mark.parametrize(
    "statement",
    [
        "import threading",
        "import multiprocessing",
        "import subprocess",
        "import os",
        "from concurrent.futures import ThreadPoolExecutor",
        "import _thread",
        "from asyncio import to_thread",
        "from asyncio import create_subprocess_exec",
    ],
)
def test_threads_and_processes_are_refused_by_the_language(client: Client, statement: str) -> None:
    with pytest.raises(FunctionRefused):
        client.deploy("limited", f"{statement}\ndef on_track(event):\n    pass\n")


def test_tasks_without_end_are_a_named_outcome(client: Client) -> None:
    body = "import asyncio\nasync def one():\n    await asyncio.sleep(60)\nawait asyncio.gather(*[one() for _ in range(10 ** 6)])"
    code, _, _ = outcome(client, source("async def", body))
    assert code == "memory_limit"
