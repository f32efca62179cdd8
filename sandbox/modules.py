"""The whitelist: module → visible names, each module with its reason. What a function imports are read-only views.

A view holds picked names of the real module and nothing else; no real module is reachable through it. A name is
offered only if it looks nothing up by name from data (`attrgetter`, `get_type_hints`, `make_dataclass` do) and leads
to no file, process or socket.
"""

from __future__ import annotations

import codecs
import difflib
import encodings
import hashlib
import importlib
import pkgutil
import random
import typing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sandbox import guards
from sandbox.facades import aio, bounded, classes, contexts, functional, logs, pinned, tracing, zones
from sandbox.facades import httpx as http_httpx
from sandbox.facades import requests as http_requests

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(NamedTuple):
    """A module that may be imported."""

    names: str
    """Visible names, separated by spaces."""
    reason: str
    replaced: dict[str, Any] = {}  # noqa: RUF012  read-only by use: a table
    """Names that behave otherwise here than in the library."""
    is_ours: bool = False
    """All of it is a facade; the library itself needn't be there."""


_TYPING: Final = (
    "Any Optional Union List Dict Set Tuple FrozenSet Type Callable Iterable Iterator Sequence Mapping MutableMapping"
    " Awaitable AsyncIterator AsyncIterable Generator Literal Final ClassVar Annotated TypeVar Generic Protocol NamedTuple"
    " TypedDict NewType cast overload NoReturn Never Self Required NotRequired TypeAlias Hashable Sized Collection"
    " TYPE_CHECKING DefaultDict Deque Counter OrderedDict ChainMap ParamSpec TypeVarTuple Unpack Concatenate assert_never final"
    " runtime_checkable override LiteralString AnyStr Text TypeGuard TypeIs ReadOnly Coroutine AsyncGenerator Container"
    " ContextManager AsyncContextManager KeysView ValuesView ItemsView MutableSequence MutableSet AbstractSet Reversible"
    " Match Pattern SupportsInt SupportsFloat SupportsAbs SupportsIndex SupportsRound"
)
_ITERTOOLS: Final = (
    "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse groupby"
    " islice pairwise permutations product repeat starmap takewhile tee zip_longest"
)
_OPERATOR: Final = (
    "abs add and_ concat contains countOf delitem eq floordiv ge getitem gt iadd iand index indexOf inv invert ior is_"
    " is_not isub itemgetter le length_hint lshift lt matmul mod mul ne neg not_ or_ pos pow rshift setitem sub truediv"
    " truth xor"
)
_ASYNCIO: Final = "gather sleep timeout wait_for Semaphore Lock Event Queue TaskGroup TimeoutError CancelledError QueueEmpty QueueFull"

WHITELIST: Final[dict[str, Entry]] = {
    "json": Entry("dumps loads JSONDecodeError JSONEncoder JSONDecoder", "what APIs speak"),
    "re": Entry(
        "compile search match fullmatch split findall finditer sub subn escape purge Pattern Match error A ASCII I"
        " IGNORECASE M MULTILINE S DOTALL X VERBOSE U UNICODE NOFLAG RegexFlag",
        "patterns; one that never ends costs its own invocation",
    ),
    "math": Entry(
        "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2 expm1 fabs"
        " factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10"
        " log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp",
        "pure functions",
    ),
    "statistics": Entry(
        "mean fmean geometric_mean harmonic_mean median median_low median_high median_grouped mode multimode pstdev"
        " pvariance stdev variance quantiles correlation covariance linear_regression NormalDist StatisticsError",
        "pure functions",
    ),
    "datetime": Entry("date datetime time timedelta timezone tzinfo UTC MINYEAR MAXYEAR", "values"),
    "time": Entry(
        "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns sleep gmtime localtime mktime strftime strptime"
        " struct_time process_time",
        "clocks; a sleep is bounded by the invocation's deadline",
    ),
    "random": Entry(
        "random randint randrange uniform choice choices sample shuffle gauss normalvariate expovariate triangular"
        " betavariate getrandbits randbytes seed Random SystemRandom",
        "each worker has its own state, seeded anew after the fork",
    ),
    "string": Entry(
        "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation whitespace Template"
        " capwords",
        "constants; Formatter is left out, it walks attributes named by data",
    ),
    "decimal": Entry(
        "Decimal Context DecimalException InvalidOperation DivisionByZero Inexact Overflow Underflow Rounded getcontext"
        " setcontext localcontext ROUND_UP ROUND_DOWN ROUND_CEILING ROUND_FLOOR ROUND_HALF_UP ROUND_HALF_DOWN"
        " ROUND_HALF_EVEN ROUND_05UP BasicContext ExtendedContext DefaultContext",
        "money",
    ),
    "fractions": Entry("Fraction", "values"),
    "collections": Entry(
        "ChainMap Counter OrderedDict UserDict UserList defaultdict deque namedtuple",
        "containers; UserString is left out, its format reads attributes named by data",
        {"namedtuple": classes.namedtuple},
    ),
    "collections.abc": Entry(
        "AsyncIterable AsyncIterator Awaitable Callable Collection Container Coroutine Generator Hashable Iterable Iterator"
        " ItemsView KeysView Mapping MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView",
        "for isinstance and annotations",
    ),
    "itertools": Entry(_ITERTOOLS, "pure functions"),
    "functools": Entry(
        "cache cached_property cmp_to_key lru_cache partial partialmethod reduce singledispatch total_ordering wraps",
        "update_wrapper is left out, it copies attributes named by data",
        functional.NAMES,
    ),
    "operator": Entry(_OPERATOR, "attrgetter and methodcaller are left out, they look names up from data"),
    "hashlib": Entry(
        "md5 sha1 sha224 sha256 sha384 sha512 sha3_224 sha3_256 sha3_384 sha3_512 blake2b blake2s shake_128 shake_256 new"
        " pbkdf2_hmac algorithms_available algorithms_guaranteed",
        "signatures",
        {
            name: frozenset(getattr(hashlib, name))
            for name in ("algorithms_available", "algorithms_guaranteed")
        },
    ),
    "hmac": Entry("new compare_digest digest HMAC", "signatures"),
    "base64": Entry(
        "b64encode b64decode urlsafe_b64encode urlsafe_b64decode standard_b64encode standard_b64decode b32encode b32decode"
        " b16encode b16decode b85encode b85decode a85encode a85decode encodebytes decodebytes",
        "encodings",
    ),
    "binascii": Entry(
        "hexlify unhexlify b2a_hex a2b_hex b2a_base64 a2b_base64 crc32 crc_hqx Error Incomplete", "encodings"
    ),
    "zlib": Entry(
        "compress decompress crc32 adler32 error MAX_WBITS Z_BEST_COMPRESSION Z_BEST_SPEED Z_DEFAULT_COMPRESSION",
        "decompressing stops at 16 MiB",
        {"decompress": bounded.zlib_decompress},
    ),
    "gzip": Entry(
        "compress decompress BadGzipFile",
        "in memory only; decompressing stops at 16 MiB",
        {"decompress": bounded.gzip_decompress},
    ),
    "uuid": Entry(
        "UUID uuid3 uuid4 uuid5 NAMESPACE_DNS NAMESPACE_URL NAMESPACE_OID NAMESPACE_X500",
        "uuid1 and getnode ask the machine",
    ),
    "urllib.parse": Entry(
        "quote quote_plus quote_from_bytes unquote unquote_plus unquote_to_bytes urlencode urljoin urlparse urlsplit"
        " urlunparse urlunsplit urldefrag parse_qs parse_qsl ParseResult SplitResult",
        "pure functions",
    ),
    "html": Entry("escape unescape", "pure functions"),
    "textwrap": Entry("dedent fill indent shorten wrap TextWrapper", "pure functions"),
    "unicodedata": Entry(
        "bidirectional category combining decimal decomposition digit east_asian_width is_normalized lookup mirrored name"
        " normalize numeric unidata_version",
        "pure functions",
    ),
    "zoneinfo": Entry(
        "ZoneInfo ZoneInfoNotFoundError available_timezones",
        "all zones are loaded before the worker starts; it has no files",
        zones.NAMES,
    ),
    "calendar": Entry(
        "monthrange isleap leapdays weekday monthcalendar timegm Calendar day_name day_abbr month_name month_abbr MONDAY"
        " TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY",
        "pure functions",
    ),
    "copy": Entry("copy deepcopy", "values; deepcopy takes no memo", {"deepcopy": functional.deepcopy}),
    "enum": Entry(
        "Enum IntEnum StrEnum Flag IntFlag auto unique",
        "classes of constants; none are made from data",
        classes.ENUM,
    ),
    "abc": Entry("ABC abstractmethod", "abstract classes; ABCMeta is left out with all metaclasses"),
    "contextlib": Entry(
        "contextmanager asynccontextmanager closing nullcontext suppress ExitStack AsyncExitStack",
        "suppress never holds back a deadline",
        contexts.NAMES,
    ),
    "dataclasses": Entry(
        "dataclass field fields asdict astuple replace is_dataclass KW_ONLY InitVar MISSING FrozenInstanceError",
        "make_dataclass is left out, it makes names from data",
        classes.DATACLASSES,
    ),
    "typing": Entry(
        _TYPING,
        "for annotations, which are stripped; get_type_hints is left out, it evaluates text",
        {"NamedTuple": classes.NamedTuple, "TypedDict": classes.TypedDict},
    ),
    "csv": Entry(
        "reader writer DictReader DictWriter Error QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC excel excel_tab"
        " unix_dialect Dialect",
        "works on StringIO",
    ),
    "io": Entry("StringIO BytesIO", "in memory only: there are no files"),
    "secrets": Entry(
        "token_bytes token_hex token_urlsafe choice randbelow randbits compare_digest",
        "randomness of the kernel",
    ),
    "heapq": Entry(
        "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest", "pure functions"
    ),
    "bisect": Entry("bisect bisect_left bisect_right insort insort_left insort_right", "pure functions"),
    "ipaddress": Entry(
        "ip_address ip_network ip_interface IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface IPv6Interface"
        " AddressValueError NetmaskValueError collapse_addresses summarize_address_range",
        "values",
    ),
    "http": Entry("HTTPStatus HTTPMethod", "names of status codes"),
    "logging": Entry(
        "getLogger basicConfig debug info warning error critical exception log DEBUG INFO WARNING ERROR CRITICAL",
        "goes to the console",
        logs.NAMES,
    ),
    "traceback": Entry("format_exc", "the author's own lines only", {"format_exc": tracing.format_exc}),
    "httpx": Entry(
        " ".join(http_httpx.NAMES),
        "the same path as fetch: no sockets of its own",
        http_httpx.NAMES,
        is_ours=True,
    ),
    "requests": Entry(
        " ".join(http_requests.NAMES),
        "the same path as fetch: no sockets of its own",
        http_requests.NAMES,
        is_ours=True,
    ),
    "requests.exceptions": Entry(
        " ".join(http_requests.EXCEPTIONS), "errors of requests", http_requests.EXCEPTIONS, is_ours=True
    ),
    "asyncio": Entry(_ASYNCIO, "wrappers: tasks and the loop stay out of reach", aio.NAMES),
}
"""What may be imported. A module that needs other behaviour names what is replaced."""

_PARTS: Final = {"collections": "abc", "requests": "exceptions"}
"""Modules that show another one as an attribute."""
PACKAGES: Final = frozenset({"urllib", "engine", "engine.function"})
"""Importable without being in the table: a parent of one, and the injected names."""
FUNCTION_TYPES: Final = [
    "Event",
    "IdentifyEvent",
    "TrackEvent",
    "PageEvent",
    "ScreenEvent",
    "GroupEvent",
    "AliasEvent",
    "DeleteEvent",
    "Settings",
    "Context",
    "Response",
]
INJECTED: Final = [
    "fetch",
    "cache",
    "console",
    "EventNotSupported",
    "InvalidEventPayload",
    "ValidationError",
    "RetryError",
    "DropEvent",
    "FetchError",
    "FetchTimeout",
    "ConnectionFailed",
    "AddressRefused",
    "ResponseTooLarge",
    "TooManyRequests",
    "HTTPStatusError",
]
_FUNCTION_STUBS: Final[dict[str, Any]] = {
    name: type(name, (), {}) if name == "Settings" else typing.TypedDict(name, {}, total=False)  # type: ignore[operator]
    for name in FUNCTION_TYPES
}
"""For annotations, which are stripped: importing them works, and little else."""
SUBSTITUTES: Final = {
    "os": "settings hold what would be in the environment; there are no files",
    "sys": "print and console.error stand for its outputs; there is nothing to learn of the process here",
    "aiohttp": "use await fetch(url, method=…, json=…)",
    "urllib.request": "use fetch(url, method=…, json=…)",
    "http.client": "use fetch(url, method=…, json=…)",
    "socket": "use fetch; there are no sockets",
    "ssl": "use fetch; it does TLS",
    "subprocess": "there are no processes here",
    "threading": "use async def and asyncio.gather; or raise `concurrency`",
    "multiprocessing": "raise the destination's `concurrency`",
    "concurrent": "use async def and asyncio.gather",
    "pathlib": "there are no files here",
    "shutil": "there are no files here",
    "tempfile": "use io.StringIO or io.BytesIO",
    "pickle": "use json",
    "marshal": "use json",
    "inspect": "name what you need; code can't be looked at",
    "types": "use a dict or a dataclass",
    "importlib": "write import statements",
    "ctypes": "there is no native code here",
    "pydantic": "use dataclasses, or check fields by hand and raise ValidationError",
    "pytz": "use zoneinfo.ZoneInfo",
    "dateutil": "use datetime.datetime.fromisoformat",
    "yaml": "use json",
    "numpy": "use math and statistics",
    "pandas": "use csv, itertools and statistics",
    "lodash": "use itertools, functools and comprehensions",
    "crypto": "use hashlib, hmac and secrets",
    "asyncio.create_task": "use asyncio.TaskGroup or asyncio.gather",
    "asyncio.ensure_future": "use asyncio.TaskGroup or asyncio.gather",
    "asyncio.as_completed": "use asyncio.gather",
    "asyncio.wait": "use asyncio.gather, or asyncio.timeout around it",
    "asyncio.to_thread": "call it as it is, or make it `async def`; there are no threads",
    "asyncio.get_running_loop": "use time.monotonic for its clock, asyncio.gather and asyncio.TaskGroup for its tasks",
    "asyncio.get_event_loop": "make the handler `async def`",
    "asyncio.run": "make the handler `async def`",
    "operator.attrgetter": "use a lambda: lambda x: x.name",
    "operator.methodcaller": "use a lambda: lambda x: x.method()",
    "functools.update_wrapper": "use functools.wraps(fn)",
    "uuid.uuid1": "use uuid.uuid4",
    "string.Formatter": "use f-strings or str.format",
    "dataclasses.make_dataclass": "write the class",
    "typing.get_type_hints": "annotations are stripped; use a table of your own",
}


class View:
    """A module as a function sees it: picked names, nothing to set."""

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__.get("__name__", "")
        if name.startswith("__"):  # the library looks for its protocols, an author doesn't
            raise AttributeError(name)
        raise AttributeError(f"{module}.{name} is not available: {substitute(f'{module}.{name}')}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"modules are read-only; {name!r} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"modules are read-only; {name!r} can't be deleted")

    def __repr__(self) -> str:
        return f"<module {self.__dict__['__name__']!r}>"


def _make_view(name: str, names: dict[str, Any]) -> View:
    """Not by a constructor: a function would reach that, and refill a module."""
    view = View()
    view.__dict__.update(names)
    view.__dict__["__name__"] = name
    guards.offer_types(names.values())
    return view


_NOTHING: Final = _make_view("nothing", {})
_VIEWS: dict[str, View] = {}


def visible_names(module: str) -> frozenset[str]:
    """Names that `from module import …` may ask for, in this version of Python."""
    if module == "engine.function":
        return frozenset((*INJECTED, *FUNCTION_TYPES))
    if module == "engine":
        return frozenset({"function"})
    return frozenset(name for name in _view(module).__dict__ if name != "__name__")


def substitute(name: str) -> str:
    """What to use instead of a module or name that isn't there."""
    for known in (name, name.split(".", maxsplit=1)[0]):
        if known in SUBSTITUTES:
            return SUBSTITUTES[known]
    module, _, last = name.rpartition(".")
    candidates = sorted(visible_names(module)) if module in WHITELIST else sorted(WHITELIST)
    close = difflib.get_close_matches(last if module in WHITELIST else name, candidates, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if module in WHITELIST:
        return f"{module} has here: {', '.join(candidates[:12])} …"
    return "use one of the modules that the author's guide lists"


def _view(name: str) -> View:
    view = _VIEWS.get(name)
    if view is None:
        if name == "urllib":
            view = _make_view(name, {"parse": _view("urllib.parse")})
        else:
            entry = WHITELIST[name]
            real = None if entry.is_ours else importlib.import_module(name)
            names = {
                item: entry.replaced[item] if item in entry.replaced else getattr(real, item)
                for item in entry.names.split()
                if item in entry.replaced or hasattr(real, item)  # some came with a later Python
            }
            if name in _PARTS:
                part = _PARTS[name]
                names[part] = _view(f"{name}.{part}")
            view = _make_view(name, names)
        _VIEWS[name] = view
    return view


def importer(scope: dict[str, object]) -> Callable[..., View]:
    """`__import__` of one module of a user; `scope` are the names that `engine.function` offers there."""
    injected = {name: scope[name] for name in INJECTED if name in scope}
    function = _make_view("engine.function", {**_FUNCTION_STUBS, **injected})
    package = _make_view("engine", {"function": function})

    def import_module(
        name: str,
        _globals: object = None,
        _locals: object = None,
        fromlist: tuple[str, ...] | list[str] | None = (),
        level: int = 0,
    ) -> View:
        if type(fromlist) is list:
            # The library's own C code asks by way of the running frame (`strptime` for `_strptime`); it takes the module
            # from `sys.modules`, not what is returned. Compiled statements pass a tuple or None.
            importlib.import_module(name)
            return _NOTHING
        if level == 0 and name in {"engine", "engine.function"}:
            return function if fromlist and name == "engine.function" else package
        if level or (name not in WHITELIST and name not in PACKAGES):
            raise ModuleNotFoundError(f"the module {name} is not available: {substitute(name)}", name=name)
        return _view(name) if fromlist or "." not in name else _view(name.split(".", maxsplit=1)[0])

    return import_module


def preload() -> None:
    """Import, read and fill everything that a worker can't any more: it has no files."""
    for name in WHITELIST:
        _view(name)
    for extra in (
        "_strptime",
        "linecache",
        "encodings.idna",
        "stringprep",
        "decimal",
        "_pydatetime",
        "tzdata",
    ):
        try:
            importlib.import_module(extra)
        except ImportError:  # not in every version of Python
            continue
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in {"mbcs", "oem", "cp65001"}:
            try:
                codecs.lookup(module.name)
            except (LookupError, UnicodeError, TypeError, ValueError):
                continue
    zones.load_all()


def pin(now_ms: int | None, seed: int | None) -> None:
    """In a function's own tests: the time stands still, randomness repeats. For the life of this process."""
    names = {**(pinned.time_names(now_ms) if now_ms is not None else {})}
    names.update(pinned.random_names(seed) if seed is not None else {})
    for module, replaced in names.items():
        _view(module).__dict__.update(replaced)


def reseed() -> None:
    """After a fork: randomness of the worker's own."""
    random.seed()


def whitelist() -> list[tuple[str, list[str], str]]:
    """(module, names, reason) for the author's guide."""
    return [(name, sorted(entry.names.split()), entry.reason) for name, entry in WHITELIST.items()]
