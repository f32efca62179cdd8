"""Ways out that were found in this and other sandboxes: each must be refused when compiled, or fail when run."""

from __future__ import annotations

import textwrap
import types
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import guards
from sandbox.compiler import CompileRefused, compile_source, execute
from sandbox.names import MARK, attribute_refusal
from sandbox.runtime.cache import Cache
from sandbox.runtime.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = {
    "generator frame walk (CVE-2023-37271)": "g = (x for x in [1])\nf = g.gi_frame.f_back.f_globals",
    "coroutine frame": "async def f(): pass\nf().cr_frame",
    "async generator frame": "async def f(): yield\nf().ag_frame",
    "awaited by": "async def f(): pass\nf().cr_await",
    "traceback frame": "try: 1/0\nexcept Exception as e: e.__traceback__.tb_frame",
    "frame globals in a parameter": "def f(x): return x.f_globals",
    "code of a frame": "def f(x): return x.co_consts",
    "AttributeError.obj (CVE-2024-47532)": "import re\ntry: re.nope\nexcept AttributeError as e: x = e.obj",
    "the string module's formatter (CVE-2024-47532)": "from string import Formatter",
    "except* type confusion (CVE-2025-22153)": "try: pass\nexcept* ValueError: pass",
    "attribute in a match class": "match (x for x in 'a'):\n    case object(gi_frame=f): pass",
    "dunder in a match class": "match 1:\n    case object(__class__=c): pass",
    "names in match args": "class A:\n    __match_args__ = ('gi_frame',)",
    "computed names in match args": "class A:\n    __match_args__ = ('gi_' + 'frame',)",
    "a field that match would read": "from dataclasses import dataclass\n@dataclass\nclass A:\n    gi_frame: int",
    "capture of builtins": "match {}:\n    case __builtins__: pass",
    "rest capture of builtins": "match {}:\n    case {**__builtins__}: pass",
    "star capture of builtins": "match []:\n    case [*__builtins__]: pass",
    "global builtins": "def f():\n    global __builtins__\n    __builtins__ = {}",
    "import as builtins": "import json as __builtins__",
    "exception as builtins": "try: 1/0\nexcept Exception as __builtins__: pass",
    "walrus to builtins": "(__builtins__ := {})",
    "function called __import__": "def __import__(*a): pass",
    "class called __builtins__": "class __builtins__: pass",
    "parameter called __builtins__": "lambda __builtins__: 1",
    "subclasses": "object.__subclasses__()",
    "mro": "int.mro()",
    "bases": "int.__bases__",
    "globals of a function": "def f(): pass\nf.__globals__",
    "self of a builtin": "len.__self__",
    "func of a method": "[].append.__func__",
    "wrapped function": "import functools\nfunctools.cache(len).__wrapped__",
    "getattribute": "object.__getattribute__(1, 'x')",
    "reduce": "(1).__reduce_ex__(2)",
    "annotations of a function": "def f(): pass\nf.__annotations__ = {}",
    "with_traceback": "ValueError().with_traceback(None)",
    "event loop of a future": "def f(x): return x.get_loop()",
    "stack of a task": "def f(x): return x.get_stack()",
    "coroutine of a task": "def f(x): return x.get_coro()",
    "attrgetter": "from operator import attrgetter",
    "methodcaller": "import operator\noperator.methodcaller('x')",
    "get_type_hints": "from typing import get_type_hints",
    "make_dataclass": "from dataclasses import make_dataclass",
    "update_wrapper": "from functools import update_wrapper",
    "getattr of starred arguments": "getattr(*[(x for x in 'a'), 'gi_frame'], 'x')",
    "getattr of a computed name": "getattr(1, '__cl' + 'ass__')",
    "getattr of format": "getattr('{0.gi_frame}', 'format')(1)",
    "setattr of a computed name": "n = '__class__'\nobject.__setattr__(1, n, 2)",
    "__set_name__ by super": "class A:\n    def f(self): super().__set_name__(None, '_loop')",
    "__get__ by super": "class A:\n    def f(self, x): super().__get__(x)",
    "super by another name": "super = lambda: 1",
    "metaclass": "class A(metaclass=type): pass",
    "metaclass in a mapping": "class A(**{'metaclass': 1}): pass",
    "a name that looks private": f"class A: pass\nA().{MARK}x",
    "full-width letters": "g = (x for x in 'a')\ng.\uff47\uff49_frame",
    "__class__ cell": "class A:\n    def f(self): return __class__",
    "assignment to a dunder attribute": "class A: pass\nA.__getattribute__ = 1",
    "deleting a dunder attribute": "class A: pass\ndel A.__init__",
    "loop variable that is an attribute": "class A: pass\nfor A.__class__ in 'a': pass",
    "the memo of deepcopy": "class A:\n    def __deepcopy__(self, memo): return memo",
    "__reduce__ in a class": "class A:\n    def __reduce__(self): return (print, ())",
    "__class__ in a class": "class A:\n    __class__ = int",
    "__annotations__ in a class": "class A:\n    __annotations__ = {}",
    "__subclasshook__ in a class": "class A:\n    def __subclasshook__(cls, x): return True",
}

FAILS = {
    "str.format (CVE-2023-41039)": "'{0.gi_frame}'.format(x for x in 'a')",
    "str.format of a private name": "'{0.__class__}'.format(1)",
    "format_map (CVE-2023-41039)": "'{x.__class__}'.format_map({'x': 1})",
    "format in a nested specification": "'{0:{1.__class__}}'.format(1, 2)",
    "format by the class": "str.format('{0.__class__}', 1)",
    "format_map by the class": "str.format_map('{x.__class__}', {'x': 1})",
    "format handed on": "list(map(str.format, ['{0.__class__}'], [1]))",
    "format of a str subclass": "class S(str): pass\nS('{0.__class__}').format(1)",
    "format by super": "class S(str):\n    def f(self): return super().format(1)\nS('{0.__class__}').f()",
    "format by super of a class": "class S(str): pass\nsuper(S, S).format('{0.__class__}', 1)",
    "format that shows other characters": "class S(str):\n    def __str__(self): return 'x'\nS('{0.__class__}').format(1)",
    "format by call": "str.format.__call__('{0.__class__}', 1)",
    "UserString's format (CVE-2026-76825)": "from collections import UserString\nUserString('{0.__class__}').format(1)",
    "type of a class": "type(int)",
    "type with three arguments": "type('X', (), {})",
    "type of a function": "def f(): pass\ntype(f)",
    "storing into a module": "import json\njson.dumps = 1",
    "storing into a library class": "import decimal\ndecimal.Decimal.x = 1",
    "storing into our function": "import asyncio\nasyncio.sleep.x = 1",
    "storing into the console": "console.log = 1",
    "deleting from a module": "import json\ndel json.dumps",
    "refilling a module": "import json\njson.__init__('json', {})",
    "setting an attribute of a library object": "import json\nobject.__setattr__(json, 'dumps', 1)",
    "namedtuple with names from data": "from collections import namedtuple\nnamedtuple('X', ['gi_frame'])",
    "namedtuple that lies about its names": "from collections import namedtuple\n"
    "class S(str):\n    def isidentifier(self): return True\nnamedtuple('X', [S('a=print(1)')])",
    "NamedTuple from data": "from typing import NamedTuple\nNamedTuple('X', [('gi_frame', int)])",
    "TypedDict from data": "from typing import TypedDict\nTypedDict('X', {'a=print(1)': int})",
    "Enum from data": "from enum import Enum\nEnum('X', {'__match_args__': ('gi_frame',)})",
    "Enum of a subclass from data": "from enum import Enum\nclass E(Enum): pass\nE('X', {'__match_args__': ('gi_frame',)})",
    "Enum of a library enum from data": "from http import HTTPStatus\nHTTPStatus('X', {'a': 1})",
    "dataclass of a library class": "import dataclasses, decimal\ndataclasses.dataclass(decimal.Decimal)",
    "total_ordering of a library class": "import functools, fractions\nfunctools.total_ordering(fractions.Fraction)",
    "singledispatch that evaluates annotations": "import functools\n"
    "class W:\n    def __getattr__(self, name): return {'x': 'print(1)'}\n    def __call__(self): pass\n"
    "f = functools.singledispatch(print)\n"
    "g = functools.wraps(W())(lambda x: x)\nf.register(g)",
    "a memo for deepcopy": "import copy, json\nmemo = {}\ncopy.deepcopy(json, memo)",
    "subclassing type": "class M(type): pass",
    "importing by C code's list": "from engine.function import nothing_like_it",
    "a zone that is a path": "from zoneinfo import ZoneInfo\nZoneInfo('../../../../etc/passwd')",
}


def run(source: str) -> dict[str, Any]:
    return execute(
        compile_source(textwrap.dedent(source), "function.py"), scope={"console": Console(), "cache": Cache()}
    )


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_when_compiled(name: str) -> None:
    compile(textwrap.dedent(REFUSED[name]), "plain.py", "exec")
    with pytest.raises(CompileRefused):
        compile_source(REFUSED[name], "function.py")


@pytest.mark.parametrize("name", FAILS)
def test_it_fails_when_run(name: str) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError, LookupError, CompileRefused, ImportError)):
        run(FAILS[name])


def test_a_str_subclass_can_name_no_attribute() -> None:
    source = """
    class S(str):
        def __eq__(self, other): return False
        def __hash__(self): return 1
        def startswith(self, *args): return False
    "{0.x}".format(1)
    """
    with pytest.raises(AttributeError):
        run(source)


@pytest.mark.parametrize("name", sorted(guards.GUARDS))
def test_no_source_can_spell_a_guard(name: str) -> None:
    assert not name.isidentifier()


def test_a_positional_only_parameter_shadows_no_guard() -> None:
    """CVE-2026-55830."""
    source = """
    def f(_write_, _getattr_, _format_=1, /, *, _Fatal_=2):
        return "{0.x}".format(_write_)
    class A: x = 5
    answer = f(A(), None)
    """
    assert run(source)["answer"] == "5"


def test_cached_property_keeps_no_value_under_a_name_it_was_told() -> None:
    source = """
    import functools, asyncio
    class Q(asyncio.Queue): pass
    p = functools.cached_property(lambda self: "computed")
    Q.x = p
    answer = Q().x
    """
    assert run(source)["answer"] == "computed"


def test_wraps_changes_nothing_that_is_ours() -> None:
    source = """
    import functools, asyncio
    class W:
        def __getattr__(self, name): return "evil"
    functools.wraps(W())(asyncio.sleep)
    answer = asyncio.sleep.__name__
    """
    assert run(source)["answer"] == "sleep"


def test_refused_names_cover_this_interpreter() -> None:
    kinds = (
        types.GeneratorType,
        types.CoroutineType,
        types.AsyncGeneratorType,
        types.FrameType,
        types.TracebackType,
        types.CodeType,
    )
    harmless = {"close", "send", "throw", "asend", "athrow", "aclose", "clear", "replace"}
    for kind in kinds:
        for name in set(dir(kind)) - harmless:
            assert attribute_refusal(name) or name.startswith("_"), f"{kind.__name__}.{name}"


def test_the_scope_of_one_module_is_not_anothers(load: Callable[..., dict[str, Any]]) -> None:
    first = load("from engine.function import cache\nx = cache")
    second = load("from engine.function import cache\nx = cache")
    assert first["x"] is not second["x"]


def test_an_authors_equality_is_not_asked_when_a_signature_is(load: Callable[..., dict[str, Any]]) -> None:
    """`inspect` compares what is called with `type`, which makes classes from data; CPython mends it in 3.13."""
    module = load(
        """
        import dataclasses
        seen = []
        class Trap:
            def __eq__(self, other):
                seen.append(other)
                return False
            def __call__(self, *args, **options): return 1
        Trap()(_private=1)
        @dataclasses.dataclass(init=False)
        class Data:
            __init__ = Trap()
            field: int = 1
        """
    )
    assert [item for item in module["seen"] if item in (type, object)] == []
