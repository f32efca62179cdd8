"""The whitelist: module → visible names, each module with its reason; and what to use instead of others.

A name is offered only if it looks nothing up by name from data (`attrgetter`, `get_type_hints`, `make_dataclass` do)
and leads to no file, process or socket. Tables only; what functions see of them is made in `modules`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

from sandbox.facades import aio, bounded, classes, contexts, functional, logs, tracing, zones
from sandbox.facades import httpx as http_httpx
from sandbox.facades import requests as http_requests


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
    "lodash": "use pydash, or itertools, functools and comprehensions",
    "moment": "use whenever, or datetime and zoneinfo",
    "pendulum": "use whenever, or datetime and zoneinfo",
    "arrow": "use whenever, or datetime and zoneinfo",
    "xml": "use xmltodict",
    "lxml": "use xmltodict",
    "defusedxml": "use xmltodict, which refuses what it refuses",
    "jose": "use jwt",
    "authlib": "use jwt",
    "Crypto": "use cryptography",
    "OpenSSL": "use cryptography",
    "jwt.PyJWKClient": "fetch the key set, and use jwt.PyJWKSet.from_dict",
    "jwt.algorithms": "use jwt.PyJWK.from_dict(key).key",
    "jwt.register_algorithm": "use one of the algorithms that there are",
    "cryptography.x509": "use cryptography.hazmat.primitives.serialization with the public key's PEM",
    "phonenumbers.geocoder": "use phonenumbers.region_code_for_number",
    "phonenumbers.carrier": "nothing here knows carriers",
    "phonenumbers.timezone": "use phonenumbers.region_code_for_number and zoneinfo",
    "pydash.invoke": "write the call: x.method()",
    "pydash.invoke_map": "write the calls: [x.method() for x in items]",
    "pydash.method": "use a lambda: lambda x: x.method()",
    "pydash.method_of": "use a lambda: lambda x: x.method()",
    "pydash.result": "use pydash.get, and call what it gives",
    "pydash.attempt": "use try and except",
    "pydash.apply_catch": "use try and except",
    "pydash.retry": "raise RetryError: the engine tries again",
    "pydash.debounce": "there are no timers here",
    "pydash.throttle": "there are no timers here",
    "whenever.SYSTEM_TZ": "name the zone",
    "whenever.patch_current_time": "give `now` to the `deploy` fixture of your tests",
    "crypto": "use hashlib, hmac and secrets, or cryptography",
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
