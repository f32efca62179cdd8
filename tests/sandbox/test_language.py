"""What authors may write, and what they may not: through the compiler, in process."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.compiler import CompileRefused, compile_source, execute, render
from sandbox.runtime.errors import Fatal


def run(source: str, **scope: Any) -> Any:
    """What `f()` of the source returns."""
    module: Any = execute(compile_source(source, "f.py"), scope=scope)
    return module["f"]()


EVERYDAY = [
    ("def f():\n    x = a, b = (1, 2)\n    return x, a + b", ((1, 2), 3)),
    ("def f():\n    [a, b] = 'xy'\n    return a + b", "xy"),
    ("def f():\n    d = {'a': 1}\n    d['a'] += 2\n    return d", {"a": 3}),
    ("class C:\n    n = 1\ndef f():\n    c = C()\n    c.n += 1\n    return c.n", 2),
    ("def f():\n    return [x * 2 for x in range(3) if x]", [2, 4]),
    ("def f():\n    return {k: v for k, v in zip('ab', (1, 2))}", {"a": 1, "b": 2}),
    ("def f():\n    return sum(x for x in (1, 2, 3))", 6),
    ("def f():\n    first, *rest = [1, 2, 3]\n    return first, rest", (1, [2, 3])),
    ("def f():\n    if (n := 5) > 3:\n        return n", 5),
    ("def f(*args, key=1, **kw):\n    return args, key, kw", ((), 1, {})),
    ("def g(a, /, b, *, c):\n    return a + b + c\ndef f():\n    return g(1, b=2, c=3)", 6),
    ("def f():\n    return (lambda x, y=2: x * y)(4)", 8),
    ("def f():\n    return 'yes' if 1 < 2 <= 2 else 'no'", "yes"),
    ("def f():\n    return f'{3.14159:.2f} {\"x\"!r:>5}'", "3.14   'x'"),
    ("def f():\n    return '{} {a[0]} {0}'.replace('{}', '{0}').format(1, a=[2])", "1 2 1"),
    ("def f():\n    return '%s-%d' % ('a', 3)", "a-3"),
    ("def f():\n    try:\n        return {}['x']\n    except KeyError as e:\n        return type(e).__name__", "KeyError"),
    ("def f():\n    out = []\n    try:\n        out.append(1)\n    finally:\n        out.append(2)\n    return out", [1, 2]),
    ("def f():\n    try:\n        pass\n    except Exception:\n        return 1\n    else:\n        return 2", 2),
    ("def f():\n    for i in range(5):\n        if i == 3: break\n    else:\n        return None\n    return i", 3),
    ("def f():\n    n = 0\n    while True:\n        n += 1\n        if n > 3: return n", 4),
    ("def f():\n    def inner():\n        nonlocal n\n        n += 1\n    n = 0\n    inner()\n    return n", 1),
    ("count = 0\ndef f():\n    global count\n    count += 1\n    return count", 1),
    ("def g():\n    yield 1\n    yield from (2, 3)\ndef f():\n    return list(g())", [1, 2, 3]),
    ("class A:\n    def __init__(self, v):\n        self._v = v\n    @property\n    def v(self):\n        return self._v\n"
     "class B(A):\n    def __init__(self):\n        super().__init__(7)\ndef f():\n    return B().v", 7),
    ("class P:\n    def __eq__(self, o):\n        return True\n    def __hash__(self):\n        return 1\n"
     "def f():\n    return P() == 3 and len({P(), P()})", 1),
    ("from dataclasses import dataclass, field, asdict\n@dataclass\nclass D:\n    a: int\n    b: list[int] = field(default_factory=list)\n"
     "def f():\n    return asdict(D(1))", {"a": 1, "b": []}),
    ("from typing import NamedTuple\nclass N(NamedTuple):\n    a: int\n    b: str = 'x'\ndef f():\n    return N(1)._asdict()",
     {"a": 1, "b": "x"}),
    ("from enum import Enum\nclass E(Enum):\n    A = 'a'\ndef f():\n    return E('a').name", "A"),
    ("from __future__ import annotations\ndef g(x: Unknown) -> Nothing:\n    y: Also = x\n    return y\ndef f():\n    return g(1)", 1),
    ("def f():\n    match {'type': 'track', 'n': [1, 2]}:\n        case {'type': 'track', 'n': [a, *_]}:\n            return a", 1),
    ("import json\ndef f():\n    return json.loads(json.dumps({'a': [1, None]}))", {"a": [1, None]}),
    ("import re\ndef f():\n    return re.sub(r'(\\d)', r'<\\1>', 'a1')", "a<1>"),
    ("from datetime import datetime, timedelta, timezone\ndef f():\n"
     "    return (datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=1)).isoformat()", "2026-01-02T00:00:00+00:00"),
    ("import urllib.parse\ndef f():\n    return urllib.parse.urlencode({'a': 'b c'})", "a=b+c"),
    ("import collections\ndef f():\n    return collections.Counter('aab').most_common(1)", [("a", 2)]),
    ("from collections import defaultdict\ndef f():\n    d = defaultdict(list)\n    d['a'].append(1)\n    return dict(d)", {"a": [1]}),
    ("import hashlib, hmac, base64\ndef f():\n    return base64.b64encode(hmac.new(b'k', b'm', hashlib.sha256).digest())[:4]", b"tgCQ"),
    ("from decimal import Decimal\ndef f():\n    return str(Decimal('1.10') * 3)", "3.30"),
    ("import itertools, functools, operator\ndef f():\n    return functools.reduce(operator.add, itertools.chain([1], [2]))", 3),
    ("import functools\ndef deco(fn):\n    @functools.wraps(fn)\n    def inner(*a, **k):\n        return fn(*a, **k) + 1\n    return inner\n"
     "@deco\ndef f():\n    return 1", 2),
    ("import contextlib\n@contextlib.contextmanager\ndef c():\n    yield 5\ndef f():\n    with c() as v:\n        return v", 5),
    ("import uuid\ndef f():\n    return str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a'))[:8]", "4f3f2898"),
    ("import zlib, gzip\ndef f():\n    return gzip.decompress(gzip.compress(b'x')) + zlib.decompress(zlib.compress(b'y'))", b"xy"),
    ("import csv, io\ndef f():\n    return list(csv.DictReader(io.StringIO('a,b\\n1,2')))", [{"a": "1", "b": "2"}]),
    ("_private = 3\ndef f():\n    def _helper(_x=_private):\n        return _x\n    return _helper(_x=4)", 4),
    ("def f():\n    x = 5\n    del x\n    return getattr('abc', 'upper')()", "ABC"),
    ("def f():\n    return sorted([{'n': 2}, {'n': 1}], key=lambda e: e['n'])[0]", {"n": 1}),
    ("def f():\n    return __name__ and isinstance(1, (int, str)) and not any([])", True),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), EVERYDAY, ids=range(len(EVERYDAY)))
def test_everyday_python_runs(source: str, expected: Any) -> None:
    assert run(source) == expected


REFUSED = [
    ("import os\n", "os", 1),
    ("import json\nfrom os import environ\n", "os", 2),
    ("x = open('f')\n", "open", 1),
    ("x = 1\ny = eval('1')\n", "eval", 2),
    ("from operator import attrgetter\n", "attrgetter", 1),
    ("from string import Formatter\n", "Formatter", 1),
    ("from typing import get_type_hints\n", "get_type_hints", 1),
    ("from uuid import uuid1\n", "uuid1", 1),
    ("from json import *\n", "*", 1),
    ("x = ().__class__.__bases__\n", "__bases__", 1),
    ("x = (lambda: 0).__globals__\n", "__globals__", 1),
    ("def g():\n    yield\nx = g().gi_frame\n", "gi_frame", 3),
    ("def g(e):\n    return e.__traceback__\n", "__traceback__", 2),
    ("def g(e):\n    return e.tb_frame\n", "tb_frame", 2),
    ("def g(e):\n    return e.f_back\n", "f_back", 2),
    ("def g(e):\n    return e.obj\n", "obj", 2),
    ("x = int.mro()\n", "mro", 1),
    ("class A(metaclass=type): pass\n", "metaclass", 1),
    ("try:\n    pass\nexcept* ValueError:\n    pass\n", "except*", 1),
    ("def f():\n    try:\n        pass\n    finally:\n        return 1\n", "finally", 5),
    ("match x:\n    case int(__class__=y): pass\n", "__class__", 2),
    ("__builtins__ = {}\n", "__builtins__", 1),
    ("x = __import__('os')\n", "__import__", 1),
    ("def f(:\n", "", 1),
    ("x = getattr(f, name)\n", "getattr", 1),
    ("class A:\n    def __getattribute__(self, n): pass\n", "__getattribute__", 2),
    ("from . import x\n", "", 1),
]


@pytest.mark.parametrize(("source", "word", "line"), REFUSED, ids=[row[0][:30] for row in REFUSED])
def test_what_leads_out_is_refused_with_line_and_remedy(source: str, word: str, line: int) -> None:
    with pytest.raises(CompileRefused) as refusal:
        compile_source(source, "f.py")
    first = refusal.value.diagnostics[0]
    assert first.line == line
    assert word in first.message
    assert first.remedy
    assert "^" in render(first, "f.py")


def test_all_refusals_are_shown_at_once() -> None:
    with pytest.raises(CompileRefused) as refusal:
        compile_source("import os\nimport sys\nx = open('y')\n", "f.py")
    assert [item.line for item in refusal.value.diagnostics] == [1, 2, 3]


@pytest.mark.parametrize(
    "body",
    [
        "'{0.__class__}'.format(1)",
        "str.format('{0.__class__}', 1)",
        "'{a.__class__}'.format_map({'a': 1})",
        "list(map(str.format, ['{0.__class__}'], [1]))",
        "'{0[a].__init__.__globals__}'.format({'a': 1})",
        "type('')('{0.__class__}').format(1)",
    ],
)
def test_format_strings_walk_no_attributes(body: str) -> None:
    with pytest.raises(Exception, match=r"__class__|__init__|format|available"):
        run(f"def f():\n    return {body}\n")


@pytest.mark.parametrize("statement", ["json.dumps = 1", "del json.dumps", "json.dumps.x = 1", "str.x = 1"])
def test_nothing_that_is_shared_can_be_set(statement: str) -> None:
    with pytest.raises((TypeError, AttributeError)):
        run(f"import json\ndef f():\n    {statement}\n")


@pytest.mark.parametrize(
    "wrapper",
    [
        "try:\n        die()\n    except BaseException:\n        return 'swallowed'",
        "try:\n        die()\n    except:\n        return 'swallowed'",
        "import contextlib\n    with contextlib.suppress(BaseException):\n        die()\n    return 'swallowed'",
    ],
)
def test_what_ends_an_invocation_can_not_be_swallowed(wrapper: str) -> None:
    def die() -> None:
        raise Fatal

    with pytest.raises(Fatal):
        run(f"def f():\n    {wrapper}\n", die=die)


def test_a_parameter_can_not_shadow_a_guard() -> None:
    with pytest.raises(Exception, match="format"):
        run(
            "def g(_format_, /):\n    return '{0.__class__}'.format(1)\ndef f():\n    return g(lambda *a: print)\n"
        )
