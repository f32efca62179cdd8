"""Format strings: they read attributes that data names, wherever a text's own `format` is reached.

RestrictedPython's CVE-2023-41039, CVE-2024-47532 and CVE-2026-76825; the same in asteval and simpleeval.
"""

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

WALKED = "<class 'int'>"

ATTEMPTS = [
    Attempt("format (CVE-2023-41039)", "def attempt(): return '{0.__class__}'.format(1)", WALKED),
    Attempt(
        "format_map (CVE-2023-41039)", "def attempt(): return '{x.__class__}'.format_map({'x': 1})", WALKED
    ),
    Attempt(
        "globals of a function in a text",
        "def attempt(): return '{0.__globals__[attempt].__name__} {0.__globals__}'.format(attempt)",
        "__builtins__",
    ),
    Attempt(
        "in a nested specification",
        "class A:\n    def __format__(self, spec): return spec\n"
        "def attempt(): return '{0:{1.__class__}}'.format(A(), 1)",
        WALKED,
    ),
    Attempt("by the class", "def attempt(): return str.format('{0.__class__}', 1)", WALKED),
    Attempt(
        "format_map by the class", "def attempt(): return str.format_map('{x.__class__}', {'x': 1})", WALKED
    ),
    Attempt("handed to map", "def attempt(): return list(map(str.format, ['{0.__class__}'], [1]))", WALKED),
    Attempt("handed to map, bound", "def attempt(): return list(map('{0.__class__}'.format, [1]))", WALKED),
    Attempt(
        "as a sorting key",
        "def attempt():\n    seen = []\n    "
        "sorted([1], key=lambda x: seen.append('{0.__class__}'.format(x)))\n    return seen",
        WALKED,
    ),
    Attempt(
        "of a subclass", "class S(str): pass\ndef attempt(): return S('{0.__class__}').format(1)", WALKED
    ),
    Attempt(
        "by super()",
        "class S(str):\n    def f(self): return super().format(1)\n"
        "def attempt(): return S('{0.__class__}').f()",
        WALKED,
    ),
    Attempt(
        "by super of a class",
        "class S(str): pass\ndef attempt(): return super(S, S).format('{0.__class__}', 1)",
        WALKED,
    ),
    Attempt(
        "of a subclass that shows other characters",
        "class S(str):\n    def __str__(self): return 'x'\n    def __iter__(self): return iter('x')\n"
        "def attempt(): return S('{0.__class__}').format(1)",
        WALKED,
    ),
    Attempt("by __call__", "def attempt(): return str.format.__call__('{0.__class__}', 1)", WALKED),
    Attempt("by __get__", "def attempt(): return str.format.__get__('{0.__class__}', str)(1)", WALKED),
    Attempt("by getattr", "def attempt(): return getattr('{0.__class__}', 'format')(1)", WALKED),
    Attempt(
        "by methodcaller",
        "import operator\ndef attempt(): return operator.methodcaller('format', 1)('{0.__class__}')",
        WALKED,
    ),
    Attempt(
        "by attrgetter",
        "import operator\ndef attempt(): return operator.attrgetter('format')('{0.__class__}')(1)",
        WALKED,
    ),
    Attempt(
        "by a partial object",
        "import functools\ndef attempt(): return functools.partial(str.format, '{0.__class__}')(1)",
        WALKED,
    ),
    Attempt(
        "read by a pattern",
        "def attempt():\n    match '{0.__class__}':\n        case str(format=f): return f(1)",
        WALKED,
    ),
    Attempt(
        "read by a pattern, the name among __match_args__",
        "class S(str):\n    __match_args__ = ('format',)\n"
        "def attempt():\n    match S('{0.__class__}'):\n        case S(f): return f(1)",
        WALKED,
    ),
    Attempt(
        "read by a pattern, the name a dataclass's field, the text registered as one",
        """
        from abc import ABC
        from dataclasses import dataclass
        @dataclass
        class A(ABC):
            format: str
        A.register(str)
        def attempt():
            match "{0.__class__}":
                case A(f): return f(1)
        """,
        WALKED,
    ),
    Attempt(
        "read by a pattern, the name a named tuple's field",
        """
        from abc import ABC
        from collections import namedtuple
        class A(namedtuple("N", "format"), ABC): pass
        A.register(str)
        def attempt():
            match "{0.__class__}":
                case A(f): return f(1)
        """,
        WALKED,
    ),
    Attempt(
        "read by a pattern, the name in a NamedTuple class",
        """
        from abc import ABC
        from typing import NamedTuple
        class N(NamedTuple):
            format: str
        class A(N, ABC): pass
        A.register(str)
        def attempt():
            match "{0.__class__}":
                case A(f): return f(1)
        """,
        WALKED,
    ),
    Attempt(
        "read by an augmented assignment",
        """
        class S(str): pass
        class Taker:
            def __radd__(self, other):
                self.taken = other
                return 1
        def attempt():
            text, taker = S("{0.__class__}"), Taker()
            text.format += taker
            return taker.taken(1)
        """,
        WALKED,
    ),
    Attempt(
        "string.Formatter (CVE-2024-47532)",
        "import string\ndef attempt(): return string.Formatter().format('{0.__class__}', 1)",
        WALKED,
    ),
    Attempt(
        "the field reader of string.Formatter",
        "from string import Formatter\n"
        "def attempt(): return Formatter().get_field('0.__class__', (1,), {})[0]",
        WALKED,
    ),
    Attempt(
        "UserString (CVE-2026-76825)",
        "from collections import UserString\ndef attempt(): return UserString('{0.__class__}').format(1)",
        WALKED,
    ),
    Attempt(
        "a formatter of log lines",
        """
        import logging
        def attempt():
            record = logging.makeLogRecord({"x": 1})
            return logging.Formatter("{x.__class__}", style="{").format(record)
        """,
        WALKED,
    ),
    Attempt(
        "a text that formats once more",
        "def attempt(): return '{0.format}'.format('x') + '{0.__class__}'.format(1)",
        WALKED,
    ),
]
