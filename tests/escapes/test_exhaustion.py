"""Resource exhaustion: time, memory and output. Each would go on for long: it ends as a named outcome, or is cut."""

from __future__ import annotations

from attempts import Attempt
from ways import (
    test_it_fails_as_a_function,
    test_it_succeeds_in_plain_python,
    test_it_wins_nothing_in_the_jail,
)

__all__ = [
    "test_it_fails_as_a_function",
    "test_it_succeeds_in_plain_python",
    "test_it_wins_nothing_in_the_jail",
]

TIME = [
    Attempt(
        name,
        source,
        "still running",
        jailed="useless",
        timeout_ms=50,
        patience_s=0.5,
        ends_as="timeout",
    )
    for name, source in {
        "a loop": "def attempt():\n    while True: pass",
        "a loop in C, which no signal reaches": "import itertools\ndef attempt(): sum(itertools.repeat(1))",
        "a pattern that tries everything": "import re\ndef attempt(): re.match(r'(a+)+$', 'a' * 40 + 'b')",
        "a power of powers": "def attempt(): 3 ** (10**9)",
        "a factorial": "import math\ndef attempt(): math.factorial(10**7)",
        "a key derived slowly": "import hashlib\ndef attempt(): hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)",
        "permutations": "import itertools\ndef attempt(): max(itertools.permutations(range(15)))",
        "a sleep": "import time\ndef attempt(): time.sleep(60)",
        "a sort by an order that asks for ever": "class K:\n    def __lt__(self, other):\n        while True: pass\n"
        "def attempt(): sorted([K(), K()])",
        "a text found by a hash that asks for ever": "class K:\n    def __hash__(self):\n        while True: pass\n"
        "def attempt(): {K(): 1}",
        "a coroutine that waits for what never comes": "import asyncio\nasync def attempt(): await asyncio.Event().wait()",
        "a coroutine that never waits": "async def attempt():\n    while True: pass",
    }.items()
]
MEMORY = [
    Attempt(
        name,
        source,
        "exhausted",
        jailed="nothing",
        timeout_ms=20_000,
        memory_mib=64,
        patience_s=30.0,
        ends_as="memory_limit",
    )
    for name, source in {
        "a list": "import time\ndef attempt():\n    x = [0] * (40 * 1024 * 1024)\n    time.sleep(3)\n    return 'exhausted'",
        "a text doubled": "def attempt():\n    x = 'x' * 1024\n    while len(x) < 256 * 1024**2: x += x\n    return 'exhausted'",
    }.items()
]
ATTEMPTS = [
    *TIME,
    *MEMORY,
    Attempt(
        "a bomb of zeros",
        "import zlib\ndef attempt():\n    c = zlib.compress(bytes(20 * 1024 * 1024))\n    return len(zlib.decompress(c))",
        "20971520",
        ends_as="bad_request",
    ),
    Attempt(
        "a hundred thousand lines",
        "def attempt():\n    for n in range(10**5): print('a line')\n    print('exhausted')",
        "exhausted",
    ),
    Attempt(
        "a result of megabytes",
        "def attempt(): return ['x' * 10**6, 'exhausted']",
        "exhausted",
    ),
    Attempt(
        "an error's message of megabytes",
        "class E(Exception):\n    def __str__(self):\n        print('x' * 10**6 + 'exhausted')\n        return 'x' * 10**6\n"
        "def attempt():\n    try: raise E\n    except E as error: return str(error) + 'exhausted'",
        "exhausted",
    ),
]
