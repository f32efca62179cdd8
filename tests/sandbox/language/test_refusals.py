"""What is refused, when it is compiled: line, column, rule, and what to write instead."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from sandbox import modules
from sandbox.compiler import POLICY_KEY, CompileRefused, Diagnostic, compile_source, render
from sandbox.policy import REFUSALS_MAX

Refused = Callable[[str], tuple[Diagnostic, ...]]

CASES = [
    ("import os\n", 1, 1, "refused-import", "settings"),
    ("x = 1\nkey = os.environ['KEY']\n", 2, 7, "refused-import", "settings"),
    ("import aiohttp\n", 1, 1, "refused-import", "fetch"),
    ("from urllib.request import urlopen\n", 1, 1, "refused-import", "fetch"),
    ("import qqqqqqqq\n", 1, 1, "refused-import", "guide"),
    ("import requsts\n", 1, 1, "refused-import", "did you mean requests?"),
    ("import jsn\n", 1, 1, "refused-import", "json"),
    ("from json import load\n", 1, 1, "refused-import", "loads"),
    ("from json import *\n", 1, 1, "import-star", "name what you need"),
    ("from . import helpers\n", 1, 1, "refused-import", "one module"),
    ("import asyncio\nx = asyncio.create_task(1)\n", 2, 5, "refused-import", "TaskGroup"),
    ("import urllib.parse as up\nup.unwrap('x')\n", 2, 1, "refused-import", "urllib.parse"),
    ("from uuid import uuid1\n", 1, 1, "refused-import", "uuid4"),
    ("def f():\n    return json.dumps(1)\n", 2, 12, "not-imported", "import json"),
    ("f = open('x')\n", 1, 5, "refused-builtin", "files"),
    ("eval('1')\n", 1, 1, "refused-builtin", "json.loads"),
    ("exec('1')\n", 1, 1, "refused-builtin", "module"),
    ("name = 'a'\ngetattr(1, name)\n", 2, 1, "refused-builtin", "x.name"),
    ("setattr(1, 'a', 2)\n", 1, 1, "refused-builtin", "x.name = value"),
    ("vars(1)\n", 1, 1, "refused-builtin", "dict"),
    ("globals()['x'] = 1\n", 1, 1, "refused-builtin", "module level"),
    ("__import__('os')\n", 1, 1, "dunder-name", "leave it out"),
    ("print(__builtins__)\n", 1, 7, "dunder-name", "leave it out"),
    ("__builtins__ = {}\n", 1, 1, "dunder-name", "another name"),
    ("x = ().__bases__\n", 1, 5, "refused-attribute", "guide"),
    ("x = (1).__dict__\n", 1, 5, "refused-attribute", "asdict"),
    ("def f(): pass\nf.__code__ = 1\n", 2, 1, "refused-attribute", "guide"),
    ("def g(): yield\nframe = g().gi_frame\n", 2, 9, "refused-attribute", "guide"),
    ("getattr(1, 'gi_frame')\n", 1, 1, "refused-attribute", "guide"),
    ("class M(metaclass=ABCMeta): pass\n", 1, 1, "metaclass", "inherit from Enum"),
    ("class C:\n    def __del__(self): pass\n", 2, 5, "dunder-name", "with statement"),
    ("class C:\n    def __reduce__(self): pass\n", 2, 5, "dunder-name", "usual special methods"),
    ("class C:\n    def __setattr__(self, k, v): pass\n", 2, 5, "dunder-name", "frozen=True"),
    ("class C:\n    __getattr__ = lambda *a: 1\n", 2, 5, "dunder-name", "def __getattr__"),
    ("s.format += x\n", 1, 1, "refused-attribute", "write x.format ="),
    ("match s:\n    case str(format=f): pass\n", 2, 10, "refused-attribute", "match the class alone"),
    ("x = __build_class__\n", 1, 5, "dunder-name", "leave it out"),
    ("import asyncio\nasyncio.as_completed([])\n", 2, 1, "refused-import", "gather"),
    ("class C:\n    __exit__ = lambda *a: True\n", 2, 5, "dunder-name", "def __exit__"),
    ("class C:\n    __slots__ = tuple('ab')\n", 2, 5, "literal-names", "write __slots__"),
    (
        "def f():\n    try:\n        pass\n    finally:\n        return 1\n",
        5,
        9,
        "leaves-finally",
        "behind the try",
    ),
    ("for x in 'a':\n    try: pass\n    finally:\n        break\n", 4, 9, "leaves-finally", "behind the try"),
    (
        "for x in 'a':\n    try: pass\n    finally:\n        while 1: pass\n        else: continue\n",
        5,
        15,
        "leaves-finally",
        "behind",
    ),
    ("def g():\n    try: pass\n    finally:\n        yield\n", 4, 9, "leaves-finally", "behind the try"),
    ("try: pass\nexcept* ValueError: pass\n", 1, 1, "except-star", "ExceptionGroup"),
    ("def f(super): pass\n", 1, 7, "reserved-name", "another name"),
    ("\N{MODIFIER LETTER LOW MACRON}x = 1\n", 1, 1, "reserved-name", "underscore"),
    ("def f(:\n", 1, 7, "syntax", "mend"),
    ("x = 'abc\n", 1, 5, "syntax", "mend"),
    ("größe = ('ä', open('x'))\n", 1, 15, "refused-builtin", "files"),
]


@pytest.mark.parametrize(("source", "line", "column", "rule", "remedy"), CASES)
def test_a_refusal_names_place_rule_and_remedy(
    source: str, line: int, column: int, rule: str, remedy: str, refused: Refused
) -> None:
    found = refused(source)[0]
    assert (found.line, found.column, found.rule) == (line, column, rule)
    assert remedy in found.remedy
    assert found.source_line == source.split("\n")[line - 1]


def test_each_refused_name_of_one_import_is_told(refused: Refused) -> None:
    for source, columns in (
        ("import json, os, socket\n", [14, 18]),
        ("from json import load, dumps, dump\n", [1, 31]),
    ):
        found = refused(source)
        assert [(item.rule, item.column) for item in found] == [("refused-import", at) for at in columns]


def test_all_refusals_are_found_at_once_in_order(refused: Refused) -> None:
    rules = [(d.line, d.rule) for d in refused("import os\nx = open('a')\ny = x.__dict__\nimport sys\n")]
    assert rules == [
        (1, "refused-import"),
        (2, "refused-builtin"),
        (3, "refused-attribute"),
        (4, "refused-import"),
    ]


def test_a_rendered_refusal_points_with_a_caret() -> None:
    diagnostic = Diagnostic(
        3, 6, "refused-builtin", "open is not available", "use settings", "\tx = open('y')"
    )
    assert render(diagnostic, "f.py").split("\n") == [
        "f.py:3:6 refused-builtin: open is not available",
        "    \tx = open('y')",
        "    \t    ^",
        "  → use settings",
    ]


def test_a_refusal_travels_as_a_map(refused: Refused) -> None:
    assert refused("import os\n")[0].as_map() == {
        "line": 1,
        "column": 1,
        "rule": "refused-import",
        "message": "the module os is not available",
        "remedy": "settings hold what would be in the environment; there are no files",
        "source_line": "import os",
    }


def test_lines_are_counted_as_python_counts_them(refused: Refused) -> None:
    found = refused("x = 'a\\x0cb'\r\ny = '\u2028'\r\nimport os\r\n")[0]
    assert (found.line, found.source_line) == (3, "import os")


def test_refusals_end_where_nobody_reads_on(refused: Refused) -> None:
    """Each costs time to find a remedy for."""
    assert len(refused("import requsts\n" * 50_000)) == REFUSALS_MAX


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("x" * 1_048_577, "source-size"),
        ("(" * 300 + ")" * 300, "syntax"),
        ("x = " + "-" * 50_000 + "1", "nesting"),
        ("x = 1\0", "syntax"),
    ],
)
def test_hostile_sources_get_a_refusal_too(source: str, rule: str) -> None:
    with pytest.raises(CompileRefused) as caught:
        compile_source(source, "f.py")
    assert caught.value.diagnostics[0].rule == rule


def test_a_missing_name_of_a_module_is_explained_at_run_time_too(
    load: Callable[..., dict[str, object]],
) -> None:
    with pytest.raises(AttributeError, match=r"json\.load is not available: did you mean loads\?"):
        load("import json\ndef f(module): return module.load\nf(json)")


def test_every_substitute_is_for_something_that_is_missing() -> None:
    for name in modules.SUBSTITUTES:
        module, _, last = name.rpartition(".")
        assert name not in modules.WHITELIST
        if module in modules.WHITELIST:
            assert last not in modules.visible_names(module)


def test_every_whitelisted_module_says_why_and_imports(load: Callable[..., dict[str, object]]) -> None:
    for name, names, reason in modules.whitelist():
        assert reason
        visible = [item for item in names if item in modules.visible_names(name)]
        assert visible
        load(f"import {name}\nfrom {name} import {', '.join(visible)}\n")


def test_the_whitelist_is_the_documented_one() -> None:
    names = (
        "json re math statistics datetime time random string decimal fractions collections collections.abc itertools"
        " functools operator hashlib hmac base64 binascii zlib gzip uuid urllib.parse html textwrap unicodedata zoneinfo"
        " calendar copy enum abc contextlib dataclasses typing csv io secrets heapq bisect ipaddress http logging"
        " traceback asyncio httpx requests requests.exceptions"
    )
    assert sorted(modules.WHITELIST) == sorted(names.split())


def test_the_policy_key_names_this_interpreter_and_policy() -> None:
    assert len(POLICY_KEY) == 32
    assert int(POLICY_KEY, 16)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="newer syntax")
def test_type_parameters_and_aliases_work(load: Callable[..., dict[str, object]]) -> None:
    module = load(
        """
        type Pair = tuple[int, str]
        class Box[T]:
            def __init__(self, value: T): self.value = value
        def first[_T](items: list[_T]) -> _T: return items[0]
        answer = Box[int](3).value, first([4])
        """
    )
    assert module["answer"] == (3, 4)
