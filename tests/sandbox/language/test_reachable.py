"""What a function can reach by reading what it may read, from everything it is offered: followed until nothing new is found."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import importlib
import io
import operator
import string
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import pytest

from sandbox import guards, modules
from sandbox.compiler import compile_source, execute
from sandbox.names import USER_MODULE, attribute_refusal
from sandbox.runtime.context import Invocation
from sandbox.runtime.scope import Scope
from sandbox.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCOPE: dict[str, object] = Scope().names()
FORBIDDEN = (
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.CellType,
    io.FileIO,
    io.BufferedIOBase,
    io.TextIOBase,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    contextvars.ContextVar,
    Invocation,
)
IN_MEMORY = (io.StringIO, io.BytesIO)
PLAIN = (str, int, float, complex, bytes, types.NoneType, types.NotImplementedType, types.EllipsisType)
METHODS = (types.MethodWrapperType, types.BuiltinMethodType, types.MethodType, types.WrapperDescriptorType)


def offered() -> Iterator[tuple[str, object]]:
    importer = modules.importer(SCOPE)
    yield from SCOPE.items()
    yield "settings", Settings({"a": {"b": [1]}})
    yield from guards.builtins_for(importer, SCOPE).items()
    for name in modules.WHITELIST:
        yield name, importer(name, fromlist=("x",))
    yield from samples()


def samples() -> Iterator[tuple[str, object]]:
    """Objects that a function makes with what it is offered."""
    source = """
    import asyncio, calendar, contextlib, csv, dataclasses, datetime, decimal, enum, functools, hashlib, hmac, io, json
    import logging, random, re, statistics, string, textwrap, typing, urllib.parse, uuid, zoneinfo, collections, ipaddress
    @contextlib.contextmanager
    def manager(): yield 1
    async def coroutine(): pass
    async def agen(): yield 1
    @functools.lru_cache
    def cached(x): return x
    @dataclasses.dataclass
    class D: x: int = 1
    class E(enum.Enum): A = 1
    class T(typing.TypedDict): a: int
    class N(typing.NamedTuple): a: int
    class P(typing.Protocol): a: int
    class G(typing.Generic[typing.TypeVar("X")]): pass
    def traced():
        try: json.loads("{")
        except ValueError as error: return error
    def grouped(): return ExceptionGroup("g", [ValueError(), traced()])
    def failed(f, *args):
        try: f(*args)
        except Exception as error: return error
    made = [manager(), (x for x in "a"), cached, D(), E.A, T, N(1), P, G, G[int], dataclasses.fields(D),
        asyncio.Queue(), asyncio.Lock(), asyncio.Semaphore(), asyncio.Event(), asyncio.TaskGroup(),
        calendar.Calendar(), contextlib.ExitStack(), contextlib.AsyncExitStack(), csv.reader([]), csv.DictReader(io.StringIO()),
        csv.writer(io.StringIO()), datetime.datetime.now(), decimal.getcontext(), decimal.localcontext(), hashlib.sha256(),
        hmac.new(b"k", b"", "sha256"), io.BytesIO(), json.JSONEncoder(), json.JSONDecoder(), failed(json.loads, "{"),
        logging.getLogger("x"), random.Random(), re.compile("a"), re.match("a", "a"), failed(re.compile, "("),
        statistics.NormalDist(), string.Template("$a"), textwrap.TextWrapper(), urllib.parse.urlparse("http://a/b"), uuid.uuid4(),
        zoneinfo.ZoneInfo("UTC"), asyncio.sleep(0), agen(), coroutine(), E.__members__, traced(), grouped(), collections.defaultdict(int), ipaddress.ip_network("10.0.0.0/8"), functools.partial(max, 1),
        functools.singledispatch(max), failed(len, 1), failed(lambda m: m.nope, json), failed(lambda: {}["a"]), property(len),
        typing.List[int], typing.Optional[str], typing.NewType("Y", int), asyncio.CancelledError(), failed(int, "x"),
        failed("é".encode, "ascii"), super(D, D()), iter([]), zip(), range(3), slice(1), collections.ChainMap({}), typing.Any]
    """
    module = execute(compile_source(textwrap.dedent(source), "function.py"), scope=SCOPE)
    yield from ((f"sample {type(item).__name__}", item) for item in module["made"])


def readable(value: object) -> Iterator[tuple[str, object]]:
    """What may be read of it: attributes that the policy allows, items, and its class as `type` tells it."""
    for name in dir(value):
        if attribute_refusal(name) or (name.startswith("_") and not name.startswith("__")):
            continue
        try:
            yield f".{name}", getattr(value, name)
        except Exception:  # noqa: BLE001  an attribute that can't be read leads nowhere
            continue
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", child) for key, child in value.items())
    elif isinstance(value, Sequence | AbstractSet) and not isinstance(value, range | memoryview):
        yield from ((f"[{at}]", child) for at, child in enumerate(value))
    if not isinstance(value, type | types.FunctionType):
        yield "'s type", guards.type_guard(value)


STEPS_BY_ITSELF = 4


def walk(roots: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Each object once. Many are made anew by every read (a bound method, a chain map's parents): beyond a few steps
    only those are followed of whose shape (its class, and the classes of what can be read of it) there was none yet."""
    found: list[tuple[str, object]] = []
    seen: set[object] = set()
    queue = [(path, value, 0) for path, value in roots]
    while queue:
        path, value, steps = queue.pop()
        if isinstance(value, PLAIN) or id(value) in seen:
            continue
        if isinstance(value, METHODS):
            children = []
            shape: object = (type(value), value.__name__, type(getattr(value, "__self__", None)))
        else:
            children = list(readable(value))
            shape = (type(value), tuple((name, type(child)) for name, child in children))
        if steps > STEPS_BY_ITSELF and shape in seen:
            continue
        seen |= {shape, id(value)}
        found.append((path, value))  # which keeps it, and so its id
        queue += [(path + name, child, steps + 1) for name, child in children]
    return found


@pytest.fixture(scope="module")
def found() -> Iterator[list[tuple[str, object]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of what is read is deprecated
        found = walk(offered())
    yield found
    for _, value in found:
        if isinstance(value, types.CoroutineType):
            value.close()


def test_the_walk_goes_far(found: list[tuple[str, object]]) -> None:
    assert len(found) > 5_000


def test_no_module_frame_code_file_or_loop_is_reachable(found: list[tuple[str, object]]) -> None:
    assert insides(found) == []


def insides(found: list[tuple[str, object]]) -> list[str]:
    """Paths of those that are found."""
    return [
        path for path, value in found if isinstance(value, FORBIDDEN) and not isinstance(value, IN_MEMORY)
    ]


def test_nothing_that_reads_names_from_data_is_reachable(found: list[tuple[str, object]]) -> None:
    assert readers_among(found) == []


def readers_among(found: list[tuple[str, object]]) -> list[str]:
    """Paths of those that are found."""
    readers = [
        getattr,
        setattr,
        delattr,
        vars,
        dir,
        eval,
        exec,
        compile,
        globals,
        locals,
        open,
        __import__,
        type,
    ]
    readers += [
        operator.attrgetter,
        operator.methodcaller,
        types.FunctionType,
        string.Formatter,
        importlib.import_module,
    ]
    readers += [
        dataclasses.Field,
        dataclasses.make_dataclass,
        typing.get_type_hints,
        functools.update_wrapper,
    ]
    return [path for path, value in found if any(value is reader for reader in readers)]


def test_every_reachable_class_is_one_that_is_offered(found: list[tuple[str, object]]) -> None:
    """So that somebody has thought about its constructor, and about what can inherit from it."""
    assert unoffered_classes(found) == []


def unoffered_classes(found: list[tuple[str, object]]) -> list[str]:
    """Paths of those that are found."""
    classes = [(path, value) for path, value in found if isinstance(value, type)]
    return [
        path
        for path, value in classes
        if value not in guards._OFFERED_TYPES
        and value.__module__ != USER_MODULE
        and not issubclass(value, BaseException)
    ]


LENT = {
    "textwrap.TextWrapper.unicode_whitespace_trans": "a class's own table; a change is felt by its worker alone"
}


def test_no_dict_list_or_set_of_ours_or_the_librarys_is_reachable(found: list[tuple[str, object]]) -> None:
    assert shared(found) <= set(LENT)


def shared(found: list[tuple[str, object]]) -> set[str]:
    """Names of those that are found."""
    owned = {}
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if isinstance(module, types.ModuleType) else ():
            for item in [(f"{module.__name__}.{name}", value), *_class_members(module, name, value)]:
                if isinstance(item[1], dict | list | set | bytearray):
                    owned[id(item[1])] = item[0]
    return {owned[id(value)] for _, value in found if id(value) in owned}


def _class_members(module: types.ModuleType, name: str, value: object) -> list[tuple[str, object]]:
    return (
        [(f"{module.__name__}.{name}.{member}", inner) for member, inner in list(vars(value).items())]
        if isinstance(value, type)
        else []
    )
