"""What remains when the language layer is gone: Python, and its own memory. No file of the library, nothing of the machine."""

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

ATTEMPTS = [
    *(
        Attempt(name, source, reveals, jailed="nothing")
        for name, source, reveals in [
            (
                "a module that is not loaded",
                "import sqlite3\ndef attempt(): return str(sqlite3)",
                "<module 'sqlite3'",
            ),
            (
                "a module loaded again",
                "import importlib, json\ndef attempt(): return str(importlib.reload(json))",
                "<module 'json'",
            ),
            (
                "the source of a module",
                "import inspect, json\ndef attempt(): return inspect.getsource(json)[:3000]",
                "JSON",
            ),
            (
                "a shared library",
                "import ctypes\ndef attempt(): return str(ctypes.CDLL('libanl.so.1'))",
                "CDLL 'libanl",
            ),
            (
                "a library's data",
                "import pkgutil\ndef attempt(): return str(pkgutil.get_data('json', '__init__.py'))[:3000]",
                "JSON",
            ),
            (
                "the folders of the library",
                "import os, sys\ndef attempt(): return str([os.listdir(p) for p in sys.path if os.path.isdir(p)])[:99]",
                "'",
            ),
            (
                "users of the machine",
                "import pwd\ndef attempt(): return str(pwd.getpwuid(0))",
                "pw_name='root'",
            ),
            (
                "the load of the machine",
                "def attempt(): return open('/proc/loadavg').read() + 'is the load'",
                "is the load",
            ),
            ("mounted file systems", "def attempt(): return open('/proc/self/mountinfo').read()", "/"),
            ("network interfaces", "import socket\ndef attempt(): return str(socket.if_nameindex())", "lo"),
            (
                "programs on the path",
                "import shutil\ndef attempt(): return str(shutil.which('sh', path='/bin:/usr/bin'))",
                "/sh",
            ),
            ("devices", 'def attempt(): return f\'{len(open("/dev/zero", "rb").read(5))} zeros\'', "5 zeros"),
            (
                "the time zone files",
                "import zoneinfo\ndef attempt(): return str(zoneinfo.ZoneInfo.no_cache('Asia/Tokyo'))",
                "Asia/Tokyo",
            ),
            (
                "the environment that the process was started with, behind the stack",
                "import ctypes\ndef attempt():\n    e = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n    return str(e[0])",
                "canary-5e1f0b",
            ),
        ]
    ),
    *(
        Attempt(name, source, reveals)
        for name, source, reveals in [
            (
                "its own memory, by address",
                "import ctypes\nx = b'in memory'\ndef attempt(): return str(ctypes.string_at(id(x), 99))",
                "in memory",
            ),
            (
                "its own objects, by the collector",
                "import gc\nclass Mine: pass\nmine = Mine()\ndef attempt(): return str([x for x in gc.get_objects() if type(x) is Mine])",
                "Mine object",
            ),
            (
                "a number that is another",
                "import ctypes\ndef attempt():\n    x = int('123456')\n    ctypes.c_uint32.from_address(id(x) + 24).value = 7\n    return f'now {x}'",
                "now 7",
            ),
            (
                "a text that is another",
                "import ctypes\ndef attempt():\n    x = ''.join(['abc', 'def'])\n    ctypes.memmove(id(x) + 48, b'z', 1)\n    return f'now {x}'",
                "now z|now .*z|now",
            ),
            (
                "the engine's own limits, in its own memory",
                "import sandbox.runtime.console as c\ndef attempt():\n    c.LEVELS = ('mine',)\n    return str(c.LEVELS)",
                "mine",
            ),
            (
                "code made of bytes",
                "def f(): return 1\ndef attempt():\n    f.__code__ = f.__code__.replace(co_consts=(None, 'other'))\n    return f()",
                "other",
            ),
            (
                "the trace of every line",
                "import sys\nseen = []\ndef f(): return 1\ndef attempt():\n    sys.settrace(lambda *a: seen.append(a[1]))\n    f()\n    sys.settrace(None)\n    return seen",
                "call",
            ),
            (
                "a deeper recursion than is allowed",
                "import sys\ndef f(n): return n and f(n - 1)\ndef attempt():\n    sys.setrecursionlimit(9000)\n    f(2000)\n    return 'deeper'",
                "deeper",
            ),
        ]
    ),
]
