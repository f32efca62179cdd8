"""Resource exhaustion: time, memory, depth and output. Bounded here, so that the control ends by itself."""

from __future__ import annotations

from attempts import Attempt
from ways import (
    test_it_fails_as_a_function,
    test_it_succeeds_in_plain_python,
)

__all__ = [
    "test_it_fails_as_a_function",
    "test_it_succeeds_in_plain_python",
]

ATTEMPTS = [
    Attempt(
        name,
        source,
        "exhausted",
        timeout_ms=timeout_ms,
        memory_mib=64,
    )
    for name, timeout_ms, source in [
        ("a loop", 50, "def attempt():\n    for _ in range(6 * 10**6): pass\n    return 'exhausted'"),
        (
            "a loop in C, which no signal reaches",
            50,
            "import itertools\ndef attempt():\n    sum(itertools.repeat(1, 3 * 10**7))\n    return 'exhausted'",
        ),
        (
            "a pattern that tries everything",
            50,
            "import re\ndef attempt():\n    re.match(r'(a+)+$', 'a' * 22 + 'b')\n    return 'exhausted'",
        ),
        ("a power of powers", 50, "def attempt():\n    n = 3\n    x = n ** (10**6)\n    return 'exhausted'"),
        (
            "a factorial",
            50,
            "import math\ndef attempt():\n    math.factorial(100_000)\n    return 'exhausted'",
        ),
        (
            "a key derived slowly",
            50,
            "import hashlib\ndef attempt():\n    hashlib.pbkdf2_hmac('sha256', b'', b'', 4 * 10**5)\n    return 'exhausted'",
        ),
        (
            "permutations",
            50,
            "import itertools\ndef attempt():\n    max(itertools.islice(itertools.permutations(range(12)), 10**7))\n    return 'exhausted'",
        ),
        ("a sleep", 50, "import time\ndef attempt():\n    time.sleep(0.3)\n    return 'exhausted'"),
        (
            "a sort by a key that never compares equal",
            50,
            "class K:\n    def __lt__(self, other): return True\ndef attempt():\n    sorted(K() for _ in range(2 * 10**5))\n    return 'exhausted'",
        ),
        (
            "a bomb of zeros",
            3_000,
            "import zlib\ndef attempt():\n    c = zlib.compress(bytes(20 * 1024 * 1024))\n    return 'exhausted' if len(zlib.decompress(c)) else ''",
        ),
        (
            "a hundred thousand lines",
            3_000,
            "def attempt():\n    for n in range(10**5): print('a line')\n    print('exhausted')",
        ),
    ]
]
