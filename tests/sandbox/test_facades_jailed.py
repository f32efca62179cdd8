"""Every name that a function may import is used in a jailed worker: no module trips the filter, or lacks a file."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from sandbox import modules

if TYPE_CHECKING:
    from engine.client import Client

USES = {
    "json": """
        class Encoder(json.JSONEncoder):
            def default(self, o): return str(o)
        assert json.loads(json.dumps({"a": [1, None, "é"], "b": 1j}, cls=Encoder, indent=1)) == {"a": [1, None, "é"], "b": "1j"}
        assert json.JSONDecoder().decode("[1]") == [1]
        try: json.loads("{")
        except json.JSONDecodeError as error: assert error.pos == 1
        """,
    "re": """
        flags = re.A | re.ASCII | re.I | re.IGNORECASE | re.M | re.MULTILINE | re.S | re.DOTALL | re.X | re.VERBOSE | re.NOFLAG
        assert isinstance(flags, re.RegexFlag) and re.U is re.UNICODE
        assert isinstance(re.compile("a", flags), re.Pattern) and isinstance(re.match("a", "ab"), re.Match)
        assert re.search("b", "ab").start() == 1 and re.fullmatch("a", "a") and re.split(",", "a,b") == re.findall("[ab]", "ab")
        assert [m[0] for m in re.finditer("a", "aa")] == ["a", "a"] and re.sub("a", r"<\\g<0>>", "a") == "<a>"
        assert re.subn("a", "b", "aa")[1] == 2 and re.escape(".") == "\\\\."
        re.purge()
        try: re.compile("(")
        except re.error as error: assert error.pos == 0
        """,
    "math": """
        one = [math.acos, math.acosh, math.asin, math.asinh, math.atan, math.atanh, math.cbrt, math.ceil, math.cos, math.cosh,
            math.degrees, math.erf, math.erfc, math.exp, math.exp2, math.expm1, math.fabs, math.floor, math.frexp, math.gamma,
            math.isfinite, math.isinf, math.isnan, math.lgamma, math.log, math.log10, math.log1p, math.log2, math.modf,
            math.radians, math.sin, math.sinh, math.sqrt, math.tan, math.tanh, math.trunc, math.ulp]
        for f in one: f(0.5) if f is not math.acosh else f(1.5)
        two = [math.atan2, math.copysign, math.fmod, math.hypot, math.isclose, math.nextafter, math.pow, math.remainder]
        for f in two: f(0.5, 0.25)
        assert math.comb(4, 2) + math.perm(4, 2) + math.factorial(3) + math.isqrt(9) + math.gcd(4, 6) + math.lcm(2, 3) == 35
        assert math.dist([0, 0], [3, 4]) == 5 and math.fsum([0.5] * 2) == 1 and math.prod([2, 3]) == 6 and math.ldexp(1, 2) == 4
        assert math.nan != math.nan and math.inf > math.tau > math.pi > math.e
        """,
    "statistics": """
        data = [1.0, 2.0, 2.0, 4.0]
        for f in [statistics.mean, statistics.fmean, statistics.geometric_mean, statistics.harmonic_mean, statistics.median,
            statistics.median_low, statistics.median_high, statistics.median_grouped, statistics.mode, statistics.multimode,
            statistics.pstdev, statistics.pvariance, statistics.stdev, statistics.variance, statistics.quantiles]: f(data)
        statistics.correlation(data, [1, 2, 3, 5]); statistics.covariance(data, data); statistics.linear_regression(data, [1, 2, 3, 5])
        assert statistics.NormalDist(0, 1).cdf(0) == 0.5
        try: statistics.mean([])
        except statistics.StatisticsError: pass
        """,
    "datetime": """
        class Zone(datetime.tzinfo):
            def utcoffset(self, at): return datetime.timedelta(hours=1)
            def dst(self, at): return None
            def tzname(self, at): return "Z"
        at = datetime.datetime.strptime("2024-02-29 12:00", "%Y-%m-%d %H:%M").replace(tzinfo=Zone())
        assert at.astimezone(datetime.UTC).hour == 11 and at.strftime("%A %B %Z") == "Thursday February Z"
        assert datetime.datetime.now(datetime.timezone.utc) and datetime.datetime.now() and datetime.date.today()
        assert datetime.datetime.now().astimezone() and datetime.datetime.fromtimestamp(0).year == 1970
        assert datetime.time(1).isoformat() and datetime.MINYEAR < datetime.MAXYEAR and datetime.date.fromisoformat("2024-01-01")
        """,
    "time": """
        assert time.time() > 0 and time.time_ns() > 0 and time.monotonic() and time.monotonic_ns() and time.perf_counter()
        assert time.perf_counter_ns() and time.process_time() >= 0
        time.sleep(0.001)
        assert isinstance(time.gmtime(0), time.struct_time) and time.mktime(time.localtime(0)) == 0
        assert time.strftime("%Y-%j %Z", time.strptime("2024", "%Y"))
        """,
    "random": """
        random.seed(1)
        mine = random.Random(5); mine.setstate(mine.getstate())
        assert random.SystemRandom().random() < 1 and random.random() < 1 and random.randint(1, 2) and random.randrange(1, 5)
        for f in [random.uniform, random.gauss, random.normalvariate, random.triangular, random.betavariate]: f(1, 2)
        items = [1, 2, 3]; random.shuffle(items)
        assert random.choice(items) and random.choices(items, k=2) and random.sample(items, 2) and random.expovariate(1)
        assert random.getrandbits(8) < 256 and len(random.randbytes(3)) == 3
        """,
    "string": """
        assert string.ascii_letters == string.ascii_lowercase + string.ascii_uppercase and string.digits in string.hexdigits
        assert string.octdigits and string.printable and string.punctuation and string.whitespace
        assert string.Template("$a").substitute(a=1) == "1" and string.capwords("a b") == "A B"
        """,
    "decimal": """
        ctx = decimal.getcontext(); decimal.setcontext(decimal.Context(prec=10))
        with decimal.localcontext() as local:
            local.prec = 3
            assert str(decimal.Decimal(1) / 3) == "0.333"
        for mode in [decimal.ROUND_UP, decimal.ROUND_DOWN, decimal.ROUND_CEILING, decimal.ROUND_FLOOR, decimal.ROUND_HALF_UP,
            decimal.ROUND_HALF_DOWN, decimal.ROUND_HALF_EVEN, decimal.ROUND_05UP]: decimal.Decimal("1.5").quantize(1, mode)
        errors = (decimal.InvalidOperation, decimal.DivisionByZero, decimal.Inexact, decimal.Overflow, decimal.Underflow, decimal.Rounded)
        assert all(issubclass(error, decimal.DecimalException) for error in errors)
        assert decimal.BasicContext.prec == 9 and decimal.ExtendedContext.prec == 9 and decimal.DefaultContext.prec == 28
        """,
    "fractions": "assert fractions.Fraction('0.75') == fractions.Fraction(3, 4) and str(fractions.Fraction(1.5).limit_denominator()) == '3/2'",
    "collections": """
        assert collections.ChainMap({}, {"a": 1})["a"] == 1 and collections.Counter("aa").most_common() == [("a", 2)]
        assert list(collections.OrderedDict(a=1)) == ["a"] and collections.UserDict(a=1).data and collections.UserList([1]).data
        assert collections.defaultdict(int)["x"] == 0 and collections.deque([1], 1).maxlen == 1
        assert collections.namedtuple("P", "x y")(1, 2)._asdict() == {"x": 1, "y": 2}
        assert isinstance([], collections.abc.Sequence)
        """,
    "collections.abc": """
        import collections.abc as abc
        kinds = [abc.AsyncIterable, abc.AsyncIterator, abc.Awaitable, abc.Callable, abc.Collection, abc.Container, abc.Coroutine,
            abc.Generator, abc.Hashable, abc.Iterable, abc.Iterator, abc.ItemsView, abc.KeysView, abc.Mapping, abc.MutableMapping,
            abc.MutableSequence, abc.MutableSet, abc.Reversible, abc.Sequence, abc.Set, abc.Sized, abc.ValuesView]
        assert [isinstance({}, kind) for kind in kinds].count(True) == 7
        """,
    "itertools": """
        from itertools import (accumulate, chain, combinations, combinations_with_replacement, compress, count, cycle, dropwhile,
            filterfalse, groupby, islice, pairwise, permutations, product, repeat, starmap, takewhile, tee, zip_longest)
        two = lambda items: list(islice(items, 2))
        made = [accumulate([1, 2]), chain([1], [2]), combinations("abc", 2), combinations_with_replacement("ab", 2),
            compress("ab", [1, 1]), count(), cycle("ab"), dropwhile(bool, [0, 1]), filterfalse(bool, [0, 0]), groupby("ab"),
            pairwise("abc"), permutations("ab"), product("ab"), repeat(1), starmap(max, [(1, 2)] * 2), takewhile(bool, [1, 1]),
            tee([1, 2])[0], zip_longest("ab", "a")]
        assert all(len(two(items)) == 2 for items in made)
        """,
    "functools": """
        @functools.cache
        def one(x): return x
        @functools.lru_cache(maxsize=2)
        def two(x): return x
        @functools.singledispatch
        def show(x): return "object"
        @show.register(int)
        def _(x): return "int"
        @functools.wraps(one)
        def wrapped(x): return x
        @functools.total_ordering
        class A:
            half = functools.partialmethod(lambda self, x: x / 2, 4)
            @functools.cached_property
            def value(self): return 3
            def __eq__(self, other): return True
            def __lt__(self, other): return False
        assert one(1) == two(1) == wrapped(1) and show(1) == "int" and A().value == 3 and A() >= A() and A().half() == 2
        assert functools.reduce(max, [1, 2]) == 2 and functools.partial(max, 3)(1) == 3
        assert sorted("ba", key=functools.cmp_to_key(lambda a, b: (a > b) - (a < b))) == ["a", "b"]
        """,
    "operator": """
        from operator import (abs, add, and_, concat, contains, countOf, delitem, eq, floordiv, ge, getitem, gt, iadd, iand, index,
            indexOf, inv, invert, ior, is_, is_not, isub, itemgetter, le, length_hint, lshift, lt, matmul, mod, mul, ne, neg, not_,
            or_, pos, pow, rshift, setitem, sub, truediv, truth, xor)
        for f in [add, and_, eq, floordiv, ge, gt, iadd, iand, ior, is_, is_not, isub, le, lshift, lt, mod, mul, ne, or_, pow, rshift, sub, truediv, xor]: f(6, 3)
        for f in [abs, index, inv, invert, neg, not_, pos, truth]: f(3)
        class M:
            def __matmul__(self, other): return "matmul"
        items = [1, 2]; setitem(items, 0, 5); delitem(items, 1)
        assert matmul(M(), 1) == "matmul" and concat([1], [2]) and contains(items, 5) and countOf(items, 5) == 1 and getitem(items, 0) == 5
        assert indexOf(items, 5) == 0 and itemgetter(0)(items) == 5 and length_hint(items) == 1
        """,
    "hashlib": """
        for f in [hashlib.md5, hashlib.sha1, hashlib.sha224, hashlib.sha256, hashlib.sha384, hashlib.sha512, hashlib.sha3_224,
            hashlib.sha3_256, hashlib.sha3_384, hashlib.sha3_512, hashlib.blake2b, hashlib.blake2s]: assert f(b"x").hexdigest()
        assert hashlib.shake_128(b"x").hexdigest(4) and hashlib.shake_256(b"x").hexdigest(4) and hashlib.pbkdf2_hmac("sha256", b"p", b"s", 10)
        for name in hashlib.algorithms_guaranteed: hashlib.new(name, b"x")
        for name in hashlib.algorithms_available:
            try: hashlib.new(name, b"x")
            except ValueError: pass
        """,
    "hmac": """
        assert hmac.new(b"k", b"m", "sha256").hexdigest() == hmac.digest(b"k", b"m", "sha256").hex()
        assert hmac.compare_digest("a", "a") and isinstance(hmac.new(b"k", b"m", "sha1"), hmac.HMAC)
        """,
    "base64": """
        for there, back in [(base64.b64encode, base64.b64decode), (base64.urlsafe_b64encode, base64.urlsafe_b64decode),
            (base64.standard_b64encode, base64.standard_b64decode), (base64.b32encode, base64.b32decode), (base64.b16encode, base64.b16decode),
            (base64.b85encode, base64.b85decode), (base64.a85encode, base64.a85decode), (base64.encodebytes, base64.decodebytes)]:
            assert back(there(b"bytes")) == b"bytes"
        """,
    "binascii": """
        assert binascii.unhexlify(binascii.hexlify(b"a")) == binascii.a2b_hex(binascii.b2a_hex(b"a")) == b"a"
        assert binascii.a2b_base64(binascii.b2a_base64(b"a")) == b"a" and binascii.crc32(b"a") and binascii.crc_hqx(b"a", 0)
        try: binascii.unhexlify("x")
        except binascii.Error: pass
        assert issubclass(binascii.Incomplete, Exception)
        """,
    "zlib": """
        for level in (zlib.Z_BEST_COMPRESSION, zlib.Z_BEST_SPEED, zlib.Z_DEFAULT_COMPRESSION):
            assert zlib.decompress(zlib.compress(b"a" * 99, level), zlib.MAX_WBITS) == b"a" * 99
        assert zlib.crc32(b"a") and zlib.adler32(b"a")
        try: zlib.decompress(b"x")
        except zlib.error: pass
        """,
    "gzip": """
        assert gzip.decompress(gzip.compress(b"a")) == b"a"
        assert issubclass(gzip.BadGzipFile, OSError)
        """,
    "uuid": """
        assert uuid.uuid4() != uuid.uuid4() and uuid.UUID(int=1).version is None
        for space in [uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL, uuid.NAMESPACE_OID, uuid.NAMESPACE_X500]:
            assert uuid.uuid3(space, "a").version == 3 and uuid.uuid5(space, "a").version == 5
        """,
    "urllib.parse": """
        from urllib import parse
        assert parse.unquote(parse.quote("a b/ü")) == "a b/ü" and parse.unquote_plus(parse.quote_plus("a b")) == "a b"
        assert parse.quote_from_bytes(b" ") and parse.unquote_to_bytes("%20") == b" " and parse.urlencode({"a": 1}) == "a=1"
        assert isinstance(parse.urlparse("http://a:80/b"), parse.ParseResult) and isinstance(parse.urlsplit("http://a"), parse.SplitResult)
        assert parse.urlunparse(parse.urlparse("http://a/b")) == parse.urlunsplit(parse.urlsplit("http://a/b")) == parse.urljoin("http://a", "b")
        assert parse.urldefrag("a#b").fragment == "b" and parse.parse_qs("a=1") == {"a": ["1"]} and parse.parse_qsl("a=1") == [("a", "1")]
        """,
    "html": "assert html.unescape(html.escape('<é&>')) == '<é&>'",
    "textwrap": """
        assert textwrap.dedent("  a") == "a" and textwrap.indent("a", "> ") == "> a" and textwrap.shorten("aa bb cc", 6)
        assert textwrap.fill("aa bb", 3) == "\\n".join(textwrap.wrap("aa bb", 3)) and textwrap.TextWrapper(width=3).wrap("aa bb")
        """,
    "unicodedata": """
        for f in [unicodedata.bidirectional, unicodedata.category, unicodedata.combining, unicodedata.decomposition,
            unicodedata.east_asian_width, unicodedata.mirrored, unicodedata.name]: f("é")
        assert unicodedata.decimal("1") == unicodedata.digit("1") == unicodedata.numeric("1") == 1
        assert unicodedata.is_normalized("NFC", "é") and unicodedata.normalize("NFD", "é") and unicodedata.lookup("SNOWMAN") and unicodedata.unidata_version
        """,
    "zoneinfo": """
        import datetime
        for name in zoneinfo.available_timezones():
            assert datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo(name)).utcoffset() is not None
        try: zoneinfo.ZoneInfo("Nowhere")
        except zoneinfo.ZoneInfoNotFoundError: pass
        """,
    "calendar": """
        assert calendar.monthrange(2024, 2) == (calendar.THURSDAY, 29) and calendar.isleap(2024) and calendar.leapdays(2000, 2024)
        assert calendar.weekday(2024, 1, 1) == calendar.MONDAY and calendar.monthcalendar(2024, 1) and calendar.timegm((1970, 1, 1, 0, 0, 0)) == 0
        assert calendar.Calendar().itermonthdates(2024, 1) and calendar.day_name[0] == "Monday" and calendar.day_abbr[0] == "Mon"
        assert calendar.month_name[1] == "January" and calendar.month_abbr[1] == "Jan"
        assert calendar.TUESDAY + calendar.WEDNESDAY + calendar.FRIDAY + calendar.SATURDAY + calendar.SUNDAY == 18
        """,
    "copy": "assert copy.copy([1]) == copy.deepcopy([1])",
    "enum": """
        @enum.unique
        class A(enum.Enum):
            X = enum.auto()
        class B(enum.IntEnum):
            X = 1
        class C(enum.StrEnum):
            X = enum.auto()
        class D(enum.Flag):
            X = enum.auto(); Y = enum.auto()
        class E(enum.IntFlag):
            X = 1
        assert A.X.value == B.X == E.X == 1 and C.X == "x" and D.X in D.X | D.Y
        """,
    "abc": """
        class A(abc.ABC):
            @abc.abstractmethod
            def f(self): ...
        try: A()
        except TypeError: pass
        """,
    "contextlib": """
        @contextlib.contextmanager
        def plain(): yield 1
        @contextlib.asynccontextmanager
        async def other(): yield 2
        class Closes:
            def close(self): self.closed = True
        with contextlib.ExitStack() as stack, contextlib.suppress(KeyError), contextlib.nullcontext(3), contextlib.closing(Closes()):
            assert stack.enter_context(plain()) == 1
            raise KeyError
        async with contextlib.AsyncExitStack() as stack:
            assert await stack.enter_async_context(other()) == 2
        """,
    "dataclasses": """
        @dataclasses.dataclass(frozen=True)
        class A:
            x: int = dataclasses.field(default=1)
            seed: dataclasses.InitVar[int] = 0
            _: dataclasses.KW_ONLY
            y: list = dataclasses.field(default_factory=list)
        assert dataclasses.asdict(A()) == {"x": 1, "y": []} and dataclasses.astuple(dataclasses.replace(A(), x=2, seed=0)) == (2, [])
        assert dataclasses.is_dataclass(A) and dataclasses.fields(A)[0].default_factory is dataclasses.MISSING
        try: A().x = 1
        except dataclasses.FrozenInstanceError: pass
        """,
    "typing": "assert [@NAMES@]",
    # What these call goes to the egress process, and has tests of its own.
    "httpx": "assert [@NAMES@] and httpx.Client(base_url='http://a', timeout=1.0) and httpx.AsyncClient(timeout=httpx.Timeout(1.0))",
    "requests": "assert [@NAMES@] and requests.Session().headers == {}",
    "requests.exceptions": "assert [@NAMES@]",
    "csv": """
        import io
        class Mine(csv.Dialect):
            delimiter = ";"; quoting = csv.QUOTE_NONE; lineterminator = "\\n"; escapechar = "/"
        for dialect in [csv.excel, csv.excel_tab, csv.unix_dialect, Mine]:
            out = io.StringIO()
            csv.writer(out, dialect).writerow(["a", "b"])
            assert list(csv.reader(io.StringIO(out.getvalue()), dialect)) == [["a", "b"]]
        for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC):
            csv.DictWriter(io.StringIO(), ["a"], quoting=quoting).writeheader()
        assert list(csv.DictReader(["a", "1"])) == [{"a": "1"}] and issubclass(csv.Error, Exception)
        """,
    "io": "assert io.StringIO('a').read() == 'a' and io.BytesIO(b'a').getvalue() == b'a'",
    "secrets": """
        assert len(secrets.token_bytes(4)) == 4 and secrets.token_hex(4) and secrets.token_urlsafe(4) and secrets.choice([1])
        assert secrets.randbelow(1) == 0 and secrets.randbits(1) < 2 and secrets.compare_digest("a", "a")
        """,
    "heapq": """
        heap = [3, 1, 2]; heapq.heapify(heap); heapq.heappush(heap, 0)
        assert heapq.heappop(heap) == 0 and heapq.heappushpop(heap, 5) == 1 and heapq.heapreplace(heap, 9) == 2
        assert list(heapq.merge([1], [2])) == [1, 2] and heapq.nlargest(1, [1, 2]) == [2] and heapq.nsmallest(1, [1, 2]) == [1]
        """,
    "bisect": """
        items = [1, 3]
        bisect.insort(items, 2); bisect.insort_left(items, 0); bisect.insort_right(items, 4)
        assert bisect.bisect(items, 2) == bisect.bisect_right(items, 2) == bisect.bisect_left(items, 2) + 1
        """,
    "ipaddress": """
        assert isinstance(ipaddress.ip_address("10.0.0.1"), ipaddress.IPv4Address) and isinstance(ipaddress.ip_address("::1"), ipaddress.IPv6Address)
        assert isinstance(ipaddress.ip_network("10.0.0.0/8"), ipaddress.IPv4Network) and isinstance(ipaddress.ip_network("::/8"), ipaddress.IPv6Network)
        assert isinstance(ipaddress.ip_interface("10.0.0.1/8"), ipaddress.IPv4Interface) and isinstance(ipaddress.ip_interface("::1/8"), ipaddress.IPv6Interface)
        assert list(ipaddress.collapse_addresses([ipaddress.ip_network("10.0.0.0/9"), ipaddress.ip_network("10.128.0.0/9")]))
        assert list(ipaddress.summarize_address_range(ipaddress.ip_address("10.0.0.0"), ipaddress.ip_address("10.0.0.1")))
        assert issubclass(ipaddress.AddressValueError, ValueError) and issubclass(ipaddress.NetmaskValueError, ValueError)
        """,
    "http": "assert http.HTTPStatus(404).phrase == 'Not Found' and http.HTTPMethod.GET == 'GET'",
    "logging": """
        logging.basicConfig(level=logging.DEBUG)
        logger = logging.getLogger("x")
        for f in [logging.debug, logging.info, logging.warning, logging.error, logging.critical]: f("line %s", 1)
        try: 1 / 0
        except ZeroDivisionError: logging.exception("line"); logger.exception("line")
        for level in [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]: logging.log(level, "line"); logger.log(level, "line")
        """,
    "traceback": """
        try: 1 / 0
        except ZeroDivisionError: assert "ZeroDivisionError" in traceback.format_exc()
        """,
    "asyncio": """
        queue, lock, event, limit = asyncio.Queue(1), asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(1)
        queue.put_nowait(1)
        try: queue.put_nowait(2)
        except asyncio.QueueFull: assert queue.get_nowait() == 1
        try: queue.get_nowait()
        except asyncio.QueueEmpty: event.set()
        async with lock, limit: await event.wait()
        assert await asyncio.gather(asyncio.sleep(0.001, 1), asyncio.sleep(0, 2)) == [1, 2]
        try: await asyncio.wait_for(asyncio.sleep(9), 0.001)
        except asyncio.TimeoutError: pass
        try:
            async with asyncio.timeout(0.001): await asyncio.sleep(9)
        except TimeoutError: pass
        async with asyncio.TaskGroup() as group: task = group.create_task(asyncio.sleep(9)); task.cancel()
        try: await task
        except asyncio.CancelledError: pass
        """,
}
"""Module → statements that use every name it offers, in a coroutine."""


def test_there_is_a_use_of_every_name_of_every_module() -> None:
    assert set(USES) == set(modules.WHITELIST)
    for module, use in USES.items():
        if "@NAMES@" not in use:
            missing = {name for name in modules.visible_names(module) if not re.search(rf"\b{name}\b", use)}
            assert not missing, f"{module}: {sorted(missing)}"


@pytest.mark.parametrize("module", USES)
def test_all_that_a_module_offers_works_in_a_worker(module: str, client: Client) -> None:
    names = ", ".join(f"{module}.{name}" for name in sorted(modules.visible_names(module)))
    body = textwrap.indent(textwrap.dedent(USES[module].replace("@NAMES@", names)), "    ")
    source = f"import {module}\nasync def on_track(event):\n{body}\n    return 'used'\n"
    result = client.test(source, [{"type": "track", "event": "E", "userId": "u"}])[0]
    assert (result.result, result.error) == ("'used'", None)


def test_texts_of_every_encoding_are_read_and_written_in_a_worker(client: Client) -> None:
    source = """
    TEXT = "utf-8 utf-16 utf-32 utf-7 ascii latin-1 cp1252 cp437 koi8-r mac-roman shift_jis euc_jp gb18030 big5 euc_kr"
    def on_track(event):
        read = [b"abc".decode(name) for name in "utf-8 ascii latin-1 cp1252 idna punycode unicode_escape".split()]
        return [name for name in TEXT.split() if "abc".encode(name).decode(name) != "abc"], len(read)
    """
    result = client.test(textwrap.dedent(source), [{"type": "track", "event": "E", "userId": "u"}])[0]
    assert (result.result, result.error) == ("([], 7)", None)
