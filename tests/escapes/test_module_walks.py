"""Module walks: what a library module has imported is an attribute of it, and so are its files and its importer."""

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
    Attempt("import os", "import os\ndef attempt(): return os.getenv('CANARY')", jailed="nothing"),
    Attempt(
        "from os import environ",
        "from os import environ\ndef attempt(): return environ['CANARY']",
        jailed="nothing",
    ),
    Attempt(
        "import os under another name, in a function",
        "def attempt():\n    import os as json\n    return json.environ['CANARY']",
        jailed="nothing",
    ),
    Attempt("import os.path", "import os.path as p\ndef attempt(): return str(p.os)", "<module 'os'"),
    Attempt(
        "import builtins",
        "import builtins\ndef attempt(): return builtins.open('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt("sys.modules", "import sys\ndef attempt(): return str(sys.modules['os'])", "<module 'os'"),
    Attempt(
        "codecs behind json",
        "import json\ndef attempt(): return json.codecs.open('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "from json import codecs",
        "from json import codecs\ndef attempt(): return str(codecs)",
        "<module 'codecs'",
    ),
    Attempt(
        "builtins behind enum, behind re",
        "import re\ndef attempt(): return str(re.enum.bltns)",
        "<module 'builtins'",
    ),
    Attempt(
        "sys behind statistics",
        "import statistics\ndef attempt(): return str(statistics.sys)",
        "<module 'sys'",
    ),
    Attempt(
        "os behind random",
        "import random\ndef attempt(): return random._os.environ['CANARY']",
        jailed="nothing",
    ),
    Attempt(
        "os behind logging",
        "import logging\ndef attempt(): return logging.os.environ['CANARY']",
        jailed="nothing",
    ),
    Attempt(
        "a shell behind uuid",
        "import uuid\ndef attempt(): return uuid.os.popen('cat @FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "sys behind typing",
        "import typing\ndef attempt(): return str(typing.sys.modules['os'])",
        "<module 'os'",
    ),
    Attempt(
        "sys behind dataclasses",
        "import dataclasses\ndef attempt(): return str(dataclasses.sys)",
        "<module 'sys'",
    ),
    Attempt(
        "inspect behind dataclasses",
        "import dataclasses\ndef attempt(): return str(dataclasses.inspect)",
        "<module 'inspect'",
    ),
    Attempt(
        "sys behind collections",
        "import collections\ndef attempt(): return str(collections._sys)",
        "<module 'sys'",
    ),
    Attempt(
        "sockets behind asyncio",
        "import asyncio\ndef attempt(): return str(asyncio.base_events.socket)",
        "<module 'socket'",
    ),
    Attempt(
        "processes behind asyncio",
        "import asyncio\nasync def attempt():\n    p = await asyncio.create_subprocess_exec('cat', '@FILE@', stdout=-1)\n"
        "    return str((await p.communicate())[0])",
        jailed="nothing",
    ),
    Attempt(
        "builtins behind gzip",
        "import gzip\ndef attempt(): return gzip.builtins.open('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "gzip's files",
        "import gzip\ndef attempt():\n    with gzip.open('@FILE@') as file: return str(file.fileobj.read())",
        jailed="nothing",
    ),
    Attempt("io.open", "import io\ndef attempt(): return io.open('@FILE@').read()", jailed="nothing"),
    Attempt(
        "io.FileIO", "import io\ndef attempt(): return str(io.FileIO('@FILE@').readall())", jailed="nothing"
    ),
    Attempt(
        "lines of a file, behind traceback",
        "import traceback\ndef attempt(): return traceback.linecache.getline('@FILE@', 1)",
        jailed="nothing",
    ),
    Attempt(
        "a module's builtins",
        "import json\ndef attempt(): return json.__builtins__['open']('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "a module's loader",
        "import json\ndef attempt(): return str(json.__loader__.get_data('@FILE@'))",
        jailed="nothing",
    ),
    Attempt(
        "a module's specification",
        "import json\ndef attempt(): return str(json.__spec__.loader.get_data('@FILE@'))",
        jailed="nothing",
    ),
    Attempt("a module's path", "import json\ndef attempt(): return json.__file__", "json/__init__.py"),
    Attempt(
        "a module by a pattern",
        "import json\ndef attempt():\n    match json:\n        case object(codecs=found): return str(found)",
        "<module 'codecs'",
    ),
    Attempt(
        "a module in an alias of a module",
        "import calendar as c\ndef attempt(): return str(c.sys.modules['posix'])",
        "<module 'posix'",
    ),
    Attempt(
        "a module by contextlib",
        "import contextlib\ndef attempt(): return contextlib.os.environ['CANARY']",
        jailed="nothing",
    ),
    Attempt(
        "a zone whose key joins itself to a path",
        """
        from zoneinfo import ZoneInfo
        asked = []
        class Key(str):
            def startswith(self, *args):
                asked.append("asked the key's own methods")
                return False
        def attempt():
            try: ZoneInfo(Key("Nowhere/At All"))
            except Exception: pass
            return asked
        """,
        "asked the key",
    ),
    Attempt(
        "a zone read without the cache",
        "from zoneinfo import ZoneInfo\ndef attempt(): return str(ZoneInfo('UTC').no_cache('Europe/Berlin'))",
        "Europe/Berlin",
        jailed="nothing",
    ),
    Attempt(
        "a star import",
        "from os import *\ndef attempt(): return str(listdir('@FOLDER@'))",
        "canary",
        jailed="nothing",
    ),
]
