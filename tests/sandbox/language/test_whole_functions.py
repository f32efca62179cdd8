"""Functions as people write them, whole: each means under the policy what it means in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SNIPPETS = {
    "a client of an API, with its errors": """
        import json, hashlib, hmac, base64
        class ApiError(Exception):
            def __init__(self, status, body):
                super().__init__(f"HTTP {status}: {body}")
                self.status, self.body = status, body
            @property
            def is_retryable(self): return self.status >= 500 or self.status == 429
        class NotFound(ApiError):
            def __init__(self, what): super().__init__(404, what)
        class Client:
            BASE = "https://api.example.com"
            _instances = 0
            def __init__(self, key, *, timeout=5.0):
                self._key = key; self.timeout = timeout
                Client._instances += 1
                self.__calls = []
            def __repr__(self): return f"{type(self).__name__}(timeout={self.timeout!r})"
            def __enter__(self): return self
            def __exit__(self, exc_type, exc, tb): self.__calls.append("closed"); return False
            @classmethod
            def from_settings(cls, settings): return cls(settings["apiKey"], timeout=float(settings.get("timeout", 3)))
            @staticmethod
            def sign(secret, body): return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
            @property
            def headers(self): return {"Authorization": "Basic " + base64.b64encode(f"{self._key}:".encode()).decode()}
            def call(self, path, **params):
                self.__calls.append((path, tuple(sorted(params.items()))))
                if path.startswith("/missing"): raise NotFound(path)
                return {"url": f"{self.BASE}{path}", "params": params}
            @property
            def calls(self): return list(self.__calls)
        def main():
            with Client.from_settings({"apiKey": "k"}) as c:
                ok = c.call("/a", x=1, y="2")
                try: c.call("/missing/1")
                except NotFound as e: err = (str(e), e.status, e.is_retryable, isinstance(e, ApiError))
            return ok, err, c.calls, c.headers, repr(c), Client.sign("s", "b")[:8], Client._instances
        """,
    "models of dataclasses": """
        from __future__ import annotations
        from dataclasses import dataclass, field, asdict, astuple, replace, fields, is_dataclass, KW_ONLY
        from typing import ClassVar, Optional
        from datetime import datetime, timezone
        @dataclass(order=True)
        class Version:
            major: int
            minor: int = 0
            def __str__(self): return f"{self.major}.{self.minor}"
        @dataclass
        class Address:
            city: str
            zip: Optional[str] = None
        @dataclass
        class User:
            MAX: ClassVar[int] = 3
            id: str
            address: Address
            tags: list[str] = field(default_factory=list)
            meta: dict = field(default_factory=dict, repr=False, compare=False)
            _: KW_ONLY
            active: bool = True
            _cache: dict | None = field(default=None, repr=False)
            format: str = "json"
            @property
            def key(self): return f"{self.id}:{self.address.city}"
            @classmethod
            def parse(cls, raw): return cls(raw["id"], Address(**raw["address"]), raw.get("tags", []), active=raw.get("active", True))
            def __post_init__(self): self.id = self.id.strip()
        def main():
            u = User.parse({"id": " 1 ", "address": {"city": "X"}, "tags": ["a"]})
            v = replace(u, active=False)
            return repr(u), u == v, asdict(u), astuple(Version(1, 2)), [f.name for f in fields(Address)], is_dataclass(u), sorted([Version(2), Version(1, 5)])[0].minor, str(Version(3)), u.key, v.active, u.format.upper(), "{0.format} {1.major}".format(u, Version(1))
        """,
    "enums of all kinds": """
        from enum import Enum, IntFlag, auto, StrEnum
        class Kind(Enum):
            TRACK = "track"; IDENTIFY = "identify"
            @classmethod
            def of(cls, e): return cls(e["type"])
            def __str__(self): return self.value.upper()
        class Perm(IntFlag):
            R = auto(); W = auto(); X = auto()
        class Color(Enum):
            RED = (255, 0, 0); BLUE = (0, 0, 255)
            def __init__(self, r, g, b): self.r, self.g, self.b = r, g, b
            @property
            def hex(self): return f"#{self.r:02x}{self.g:02x}{self.b:02x}"
        class Status(StrEnum):
            OK = auto(); FAILED = auto()
        HANDLERS = {Kind.TRACK: lambda e: "t", Kind.IDENTIFY: lambda e: "i"}
        def main():
            try: Kind("nope")
            except ValueError as e: msg = str(e)
            return HANDLERS[Kind.of({"type": "track"})]({}), str(Kind.TRACK), Perm.R | Perm.W, Perm.R in (Perm.R | Perm.X), Color.RED.hex, Status.OK, f"{Status.FAILED}", msg, [k.name for k in Kind], Kind.TRACK is Kind["TRACK"], Kind.__members__["TRACK"].value, len(Kind), Kind.TRACK in Kind, repr(Kind.TRACK), list(Perm.R | Perm.X)
        """,
    "a decorator that tries again": '''
        import functools, time, random
        def retry(times=3, exceptions=(Exception,), base=0.0, jitter=lambda: 0):
            def decorator(fn):
                @functools.wraps(fn)
                def wrapper(*args, **kwargs):
                    last = None
                    for attempt in range(1, times + 1):
                        try: return fn(*args, **kwargs)
                        except exceptions as e:
                            last = e
                            wrapper.attempts = attempt
                            time.sleep(base * 2 ** attempt + jitter())
                    raise RuntimeError(f"gave up after {times}") from last
                wrapper.attempts = 0
                return wrapper
            return decorator
        count = {"n": 0}
        @retry(times=4, exceptions=(KeyError, ValueError))
        def flaky(x, *, y=1):
            """Doc."""
            count["n"] += 1
            if count["n"] < 3: raise ValueError(count["n"])
            return x + y
        @retry(times=2)
        def bad(): raise KeyError("k")
        def main():
            try: bad()
            except RuntimeError as e: failed = str(e)
            return flaky(1, y=2), flaky.attempts, flaky.__name__, flaky.__doc__, failed
        ''',
    "cleaning texts with patterns": '''
        import re, unicodedata
        SLUG = re.compile(r"[^a-z0-9]+")
        def slug(s): return SLUG.sub("-", unicodedata.normalize("NFKD", s).encode("ascii", "ignore").decode().lower()).strip("-")
        PHONE = re.compile(r"""(?x) ^\\+?(?P<cc>\\d{1,2})[\\s-]?(?P<num>[\\d\\s-]+)$""")
        def main():
            m = PHONE.match("+49 170-123 45")
            camel = re.sub(r"(?<!^)(?=[A-Z])", "_", "someCamelCase").lower()
            upper = re.sub(r"\\b(\\w)", lambda m: m.group(1).upper(), "hello big world")
            return slug("Héllo, Wörld!"), m.groupdict(), m["cc"], m.span("num"), camel, upper, re.findall(r"(\\w)=(\\d)", "a=1 b=2"), re.split(r"[;,]\\s*", "a; b,c"), bool(re.fullmatch(r"\\d+", "12")), re.escape("a.b"), [x.start() for x in re.finditer("o", "foo")], re.compile("a").pattern, re.subn("a", "b", "aa"), m.re.groups, m.lastgroup
        ''',
    "dates": """
        from datetime import datetime, timedelta, timezone, date, time as clock
        from zoneinfo import ZoneInfo
        import calendar, time
        def main():
            t = datetime(2024, 3, 31, 1, 30, tzinfo=timezone.utc)
            b = t.astimezone(ZoneInfo("Europe/Berlin"))
            return (b.isoformat(), b.strftime("%A %d %B %Y %H:%M %Z"), int(t.timestamp() * 1000), datetime.fromtimestamp(0, tz=timezone.utc).year, (date(2024, 3, 1) - timedelta(days=1)).isoformat(),
                t.replace(tzinfo=None).isoformat(timespec="milliseconds"), str(timedelta(seconds=3661)), divmod(timedelta(days=1), timedelta(hours=5))[0], calendar.month_name[3], calendar.day_abbr[b.weekday()], datetime.strptime("31/12/2023", "%d/%m/%Y").date() < date(2024, 1, 1), b.utcoffset().total_seconds(), f"{t:%Y-%m-%dT%H:%M:%SZ}", datetime.combine(date(2024, 1, 1), clock(5)).hour, time.strftime("%Y", time.gmtime(0)), t.date().isocalendar().week, datetime.min.year, isinstance(b.tzinfo, ZoneInfo), b.tzinfo.key)
        """,
    "csv, templates, wrapped text": """
        import csv, io, string, textwrap, html
        def main():
            rows = [{"id": 1, "name": 'A "q"', "n": None}, {"id": 2, "name": "B,C", "n": 1.5}]
            out = io.StringIO(newline="")
            w = csv.DictWriter(out, fieldnames=list(rows[0]), quoting=csv.QUOTE_MINIMAL, lineterminator="\\n", extrasaction="ignore")
            w.writeheader(); w.writerows(rows)
            class Semi(csv.excel): delimiter = ";"
            back = list(csv.reader(io.StringIO("a;b\\n1;2"), dialect=Semi))
            t = string.Template("Hi $name, you owe $$${amount}")
            class Percent(string.Template): delimiter = "%"
            return out.getvalue(), back, t.substitute(name="X", amount=3), t.safe_substitute(name="Y"), Percent("%a b").substitute(a=1), textwrap.fill("aaa bbb ccc", 7), html.escape("<&>"), sum(1 for _ in csv.DictReader(out.getvalue().splitlines()))
        """,
    "pages, chunks, trees and coroutines of generators": """
        from itertools import islice, chain, groupby, takewhile, count, accumulate, product, starmap, tee, pairwise
        def pages(total, size=2):
            cursor = 0
            while cursor is not None:
                page = list(range(cursor, min(cursor + size, total)))
                yield from page
                cursor = cursor + size if cursor + size < total else None
        def chunked(it, n):
            it = iter(it)
            while chunk := list(islice(it, n)): yield chunk
        def flatten(x):
            for i in x:
                if isinstance(i, (list, tuple)): yield from flatten(i)
                else: yield i
        def averager():
            total = n = 0; avg = None
            while True:
                value = yield avg
                if value is None: return
                total += value; n += 1; avg = total / n
        def main():
            a = averager(); next(a); a.send(2); r = a.send(4); a.close()
            g = {k: [x["v"] for x in v] for k, v in groupby(sorted([{"k": "b", "v": 1}, {"k": "a", "v": 2}, {"k": "b", "v": 3}], key=lambda d: d["k"]), key=lambda d: d["k"])}
            return list(pages(5)), list(chunked(range(5), 2)), list(flatten([1, [2, (3, [4])]])), r, g, list(accumulate([1, 2, 3])), list(pairwise("abc")), list(starmap(pow, [(2, 3)])), [(*x,) for x in product("ab", [1])], list(takewhile(lambda x: x < 3, count()))
        """,
    "containers of the library and of one's own": """
        from collections import Counter, defaultdict, deque, OrderedDict, ChainMap, namedtuple, UserDict, UserList
        import heapq, bisect
        from operator import itemgetter, add, mul
        class LRU(OrderedDict):
            def __init__(self, size): super().__init__(); self.size = size
            def __getitem__(self, k):
                v = super().__getitem__(k); self.move_to_end(k); return v
            def __setitem__(self, k, v):
                super().__setitem__(k, v)
                if len(self) > self.size: self.popitem(last=False)
        class Lower(UserDict):
            def __setitem__(self, k, v): super().__setitem__(k.lower(), v)
            def __missing__(self, k): return "none"
        class Default(dict):
            def __missing__(self, k): self[k] = v = k * 2; return v
        tree = lambda: defaultdict(tree)
        def main():
            l = LRU(2); l["a"] = 1; l["b"] = 2; l["a"]; l["c"] = 3
            d = Lower(A=1); d["B"] = 2
            h = []; [heapq.heappush(h, (p, n)) for p, n in [(3, "c"), (1, "a")]]
            t = tree(); t["a"]["b"]["c"] = 1
            c = Counter("abca"); c.update("aa"); c["z"] -= 1
            P = namedtuple("P", ["x", "y"], defaults=[0]); p = P(1)
            ds = defaultdict(lambda: {"n": 0}); ds["k"]["n"] += 2
            s = [1, 3]; bisect.insort(s, 2)
            q = deque(maxlen=2); q.extend([1, 2, 3]); q.rotate(1)
            return list(l), dict(d), d["zz"], heapq.heappop(h), t["a"]["b"]["c"], c.most_common(1), c["z"], p._replace(y=5), p._asdict(), dict(ds), s, list(q), ChainMap({"a": 1}, {"a": 2, "b": 3})["b"], Default()["ab"], heapq.nlargest(2, [1, 5, 3]), sorted([{"a": 2, "b": 1}, {"a": 1, "b": 2}], key=itemgetter("a", "b"))[0], Counter(a=2) + Counter(a=1), p == (1, 0), P._fields, UserList([1]) + [2]
        """,
    "operators of a class": """
        from functools import total_ordering, reduce, partial, cmp_to_key
        from decimal import Decimal, ROUND_HALF_EVEN, localcontext, InvalidOperation
        from fractions import Fraction
        import operator
        @total_ordering
        class Money:
            __slots__ = ("amount", "currency", "__weakref__")
            def __init__(self, amount, currency="EUR"): self.amount, self.currency = Decimal(str(amount)), currency
            def __add__(self, o):
                if not isinstance(o, Money): return NotImplemented
                return Money(self.amount + o.amount, self.currency)
            __radd__ = lambda self, o: self if o == 0 else NotImplemented
            def __mul__(self, k): return Money(self.amount * k, self.currency)
            __rmul__ = __mul__
            def __neg__(self): return Money(-self.amount, self.currency)
            def __eq__(self, o): return isinstance(o, Money) and (self.amount, self.currency) == (o.amount, o.currency)
            def __lt__(self, o): return self.amount < o.amount
            def __hash__(self): return hash((self.amount, self.currency))
            def __bool__(self): return bool(self.amount)
            def __format__(self, spec): return f"{self.amount:{spec or '.2f'}} {self.currency}"
            def __repr__(self): return f"Money({str(self.amount)!r})"
            def __iadd__(self, o): self.amount += o.amount; return self
            def __getitem__(self, i): return (self.amount, self.currency)[i]
            def __contains__(self, c): return c == self.currency
            def __call__(self, x): return self.amount * x
            def __int__(self): return int(self.amount)
            def __abs__(self): return Money(abs(self.amount))
            def __len__(self): return 2
            def __iter__(self): yield self.amount; yield self.currency
        def main():
            m = sum([Money(1), Money("2.5")]); n = m; n += Money(1)
            try: Decimal("x")
            except InvalidOperation as e: bad = type(e).__name__
            with localcontext() as ctx:
                ctx.prec = 3
                third = Decimal(1) / 3
            a, c = Money(3)
            return f"{m}", f"{m:>10.1f}", n is m, 2 * Money(2) == Money(4), max(Money(1), Money(3)), -Money(1), bool(Money(0)), "EUR" in m, m[1], m(2), int(Money("3.9")), abs(Money(-1)), bad, str(third), str(Decimal("2.675").quantize(Decimal("0.01"), ROUND_HALF_EVEN)), Fraction("0.75"), reduce(operator.mul, [2, 3, 4]), a, c, sorted([Money(2), Money(1)]), sorted("bca", key=cmp_to_key(lambda x, y: (x < y) - (x > y))), partial(pow, 2)(5)
        """,
    "pools, streams, transactions, time-outs": """
        import asyncio
        from contextlib import asynccontextmanager, AsyncExitStack
        class Pool:
            def __init__(self, n): self._sem = asyncio.Semaphore(n); self.peak = self._now = 0
            async def __aenter__(self):
                await self._sem.acquire(); self._now += 1; self.peak = max(self.peak, self._now); return self
            async def __aexit__(self, *e): self._now -= 1; self._sem.release()
        class Rows:
            def __init__(self, n): self.n = n
            def __aiter__(self): return self
            async def __anext__(self):
                if not self.n: raise StopAsyncIteration
                self.n -= 1; await asyncio.sleep(0); return self.n
        @asynccontextmanager
        async def tx(log):
            log.append("begin")
            try: yield log; log.append("commit")
            except ValueError: log.append("rollback"); raise
        async def work(pool, x):
            async with pool:
                await asyncio.sleep(0)
                if x == 3: raise ValueError("three")
                return x * 2
        async def main():
            pool = Pool(2)
            res = await asyncio.gather(*[work(pool, i) for i in range(5)], return_exceptions=True)
            rows = [x async for x in Rows(3) if x != 1]
            s = {x async for x in Rows(2)}
            log = []
            try:
                async with tx(log): raise ValueError
            except ValueError: pass
            try:
                async with asyncio.timeout(0.01): await asyncio.sleep(1)
            except TimeoutError: late = True
            try: await asyncio.wait_for(asyncio.sleep(1), 0.01)
            except asyncio.TimeoutError: late2 = True
            try:
                async with asyncio.TaskGroup() as tg:
                    tg.create_task(work(pool, 3)); tg.create_task(asyncio.sleep(1))
            except ExceptionGroup as eg: inner = [str(e) for e in eg.exceptions]
            async with AsyncExitStack() as st:
                await st.enter_async_context(tx(log))
            q = asyncio.Queue(maxsize=1)
            async def prod():
                for i in range(3): await q.put(i)
            async def cons(): return [await q.get() for _ in range(3)]
            _, got = await asyncio.gather(prod(), cons())
            ev = asyncio.Event()
            async def waiter(): await ev.wait(); return "go"
            async def setter(): ev.set()
            w, _ = await asyncio.gather(waiter(), setter())
            return [r if not isinstance(r, Exception) else repr(r) for r in res], pool.peak, rows, s, log, late, late2, inner, got, w
        """,
    "context managers in every form": """
        from contextlib import contextmanager, suppress, ExitStack, closing, nullcontext
        import time
        @contextmanager
        def timed(label, sink):
            t = time.perf_counter()
            try: yield sink
            finally: sink.append(label); assert time.perf_counter() >= t
        class Res:
            def __init__(self, n, log): self.n, self.log = n, log
            def __enter__(self): self.log.append(f"+{self.n}"); return self
            def __exit__(self, et, ev, tb): self.log.append(f"-{self.n}:{et.__name__ if et else None}"); return et is KeyError
            def close(self): self.log.append("close")
        def main():
            log = []
            with timed("t", log) as sink: sink.append("in")
            with Res(1, log), Res(2, log): raise KeyError("x")
            with ExitStack() as st:
                for i in range(2): st.enter_context(Res(i, log))
                st.callback(log.append, "cb"); st.pop_all().close()
            with suppress(ZeroDivisionError, KeyError): 1 / 0
            with closing(Res(9, log)) as r: pass
            @timed("deco", log)
            def f(): return 5
            with (Res(3, log) as a, nullcontext(4) as b): pass
            return log, f(), b
        """,
    "annotations everywhere": """
        from __future__ import annotations
        from typing import Any, TypedDict, NotRequired, Literal, Protocol, TypeVar, Generic, Callable, overload, cast, NamedTuple, Final, Annotated, Self, TYPE_CHECKING, Iterable, runtime_checkable, NewType, Union, Optional
        from collections.abc import Mapping, Sequence
        if TYPE_CHECKING:
            from somewhere import Nothing
        T = TypeVar("T"); K = TypeVar("K", bound="Base")
        UserId = NewType("UserId", str)
        MAX: Final = 3
        Json = Union[dict[str, "Json"], list["Json"], str, int, None]
        class Payload(TypedDict, total=False):
            id: NotRequired[str]
            kind: Literal["a", "b"]
        @runtime_checkable
        class Closer(Protocol):
            def close(self) -> None: ...
        class Stack(Generic[T]):
            def __init__(self) -> None: self._items: list[T] = []
            def push(self, x: T) -> Self: self._items.append(x); return self
            def pop(self) -> T: return self._items.pop()
        class Point(NamedTuple):
            x: float
            y: float = 0.0
            def norm(self) -> float: return (self.x ** 2 + self.y ** 2) ** 0.5
            def __add__(self, o): return Point(self.x + o.x, self.y + o.y)
        @overload
        def f(x: int) -> int: ...
        @overload
        def f(x: str) -> str: ...
        def f(x): return x
        def g(x: Annotated[int, "meta"], *rest: Nothing, cb: Callable[[int], Optional[str]] | None = None) -> Mapping[str, Sequence[int]]: return {"x": [x]}
        class C:
            def close(self): pass
        def main() -> Any:
            p: Payload = {"kind": "a"}
            q = Payload(kind="b")
            return Stack[int]().push(1).push(2).pop(), Point(3, 4).norm(), Point(1) + Point(2, 2), f(3), g(1), isinstance(C(), Closer), isinstance(1, Closer), UserId("u"), cast(int, "x"), p | q, MAX, isinstance({}, Mapping)
        """,
    "scopes, arguments, formats, unpacking": """
        x = "global"
        def outer():
            x = "outer"
            def inner():
                nonlocal x
                x = "changed"
                return [x for x in range(2)], x
            return inner(), x
        def make(): return [lambda i=i: i * 2 for i in range(3)]
        late = [lambda: i for i in range(3)]
        class A:
            y = 1
            def m(self): return self.y
            w = property(lambda self: self.y + 1)
        def kw(a, /, b, *args, c, d=4, **kw): return a, b, args, c, d, kw
        def fib(n, memo={}):
            if n < 2: return n
            if n not in memo: memo[n] = fib(n - 1) + fib(n - 2)
            return memo[n]
        def main():
            global x
            before = x; x = "new"
            a, *b, (c, d) = 1, 2, 3, (4, 5)
            data = [1, 2, 3]; data[1:2] = ["x", "y"]; del data[0]
            i = 0
            while i < 3:
                i += 1
                if i == 2: continue
            else: i = -i
            n = (lambda *a, **k: (a, k))(1, z=2)
            return outer(), [f() for f in make()], [f() for f in late], A().m(), A().w, kw(1, 2, 3, c=5, e=6), fib(30), before, x, a, b, c, d, data, i, n, (y := 5) + y, [*map(str, {1: 2}), *{"k"}], {**{"a": 1}, "b": 2}, f"{before!r:>10}|{3.14159:.{2}f}|{1000000:,}|{'x':^5}|{255:#x}|{0.5:%}|{a=}", "%(a)s %(b)05.1f" % {"a": 1, "b": 2}, "{:>{w}}".format("x", w=4), "a" "b", 1_000, 0b11, not None, 5 if b else 6, (1 < 2 < 3) is True, "abc"[::-1], b"ab"[0], round(2.5), -7 // 2, 2 ** -1
        """,
    "mapping an event for an API": """
        EVENT = {"type": "track", "event": "Order Completed", "userId": "u1", "timestamp": "2024-01-02T03:04:05.678Z", "properties": {"order_id": "o1", "revenue": "19.99", "products": [{"sku": "a", "price": 5, "quantity": 2}, {"sku": "b", "price": 9.99}], "coupon": None}, "context": {"traits": {"email": "A@B.com "}, "campaign": {"source": "x"}}}
        def get(d, path, default=None):
            for key in path.split("."):
                if isinstance(d, list) and key.isdigit(): d = d[int(key)] if int(key) < len(d) else None
                elif isinstance(d, dict): d = d.get(key)
                else: return default
                if d is None: return default
            return d
        def snake(s): return "_".join(s.lower().split())
        def prune(x):
            if isinstance(x, dict): return {k: v for k, v in ((k, prune(v)) for k, v in x.items()) if v not in (None, "", [], {})}
            if isinstance(x, list): return [prune(i) for i in x]
            return x
        MAPPING = [("user.id", "userId", str), ("user.email", "context.traits.email", lambda e: e.strip().lower()), ("value", "properties.revenue", float), ("first_sku", "properties.products.0.sku", str), ("none", "properties.nothing", str)]
        def put(out, path, value):
            *parents, last = path.split(".")
            for p in parents: out = out.setdefault(p, {})
            out[last] = value
        def main():
            out = {}
            for target, source, convert in MAPPING:
                if (v := get(EVENT, source)) is not None: put(out, target, convert(v))
            out["name"] = snake(EVENT["event"])
            out["items"] = [{"id": p["sku"], "total": round(p["price"] * p.get("quantity", 1), 2)} for p in EVENT["properties"]["products"]]
            out["total"] = sum(i["total"] for i in out["items"])
            match EVENT:
                case {"type": "track", "event": "Order Completed" | "Order Updated", "properties": {"order_id": str() as oid, **rest}}: out["oid"], out["rest"] = oid, sorted(rest)
                case {"type": t}: out["t"] = t
            return prune(out), prune(EVENT)["properties"].keys() - {"products"}
        """,
    "a hierarchy of errors": """
        class AppError(Exception):
            code = "app"
            def __init__(self, message, **details): super().__init__(message); self.details = details
            def __str__(self): return f"[{self.code}] {super().__str__()} {self.details}"
        class Temporary(AppError): code = "temp"
        def risky(n):
            try:
                if n == 0: raise Temporary("later", after=5)
                if n == 1: return {}["k"]
                if n == 2: int("x")
                return "fine"
            except KeyError as e: raise AppError("wrapped", key=e.args[0]) from e
            except ValueError: raise
            else: pass
            finally: log.append(n)
        log = []
        def main():
            out = []
            for n in range(4):
                try: out.append(risky(n))
                except Temporary as e: out.append((str(e), e.details, isinstance(e, AppError)))
                except AppError as e: out.append((e.code, e.details))
                except Exception as e: out.append(f"{type(e).__name__}: {e}")
            try: raise ExceptionGroup("many", [ValueError("a"), TypeError("b")])
            except ExceptionGroup as eg:
                v, rest = eg.split(ValueError); out.append((len(v.exceptions), str(rest.exceptions[0])))
            try: assert 1 == 2, "no"
            except AssertionError as e: out.append(str(e))
            try: raise StopIteration(3)
            except StopIteration as e: out.append(e.value)
            try: (lambda: nothing)()
            except NameError as e: out.append((e.name, str(e)))
            try: [].x
            except AttributeError as e: out.append(str(e))
            return out, log
        """,
    "the builtins": """
        def main():
            return (all([]), any([0]), bin(5), bool([]), bytes(3), bytearray(b"a"), callable(len), chr(65), complex(1, 2), divmod(7, 3), list(enumerate("ab", 1)), list(filter(None, [0, 1])), float("1.5"), format(3, "b"), frozenset([1]), hash("a") == hash("a"), hex(255), int("7", 8), isinstance(True, int), issubclass(bool, int), len("a"), list(map(max, [1, 5], [3, 2])), max("ab", key=str.lower), min([], default=0), oct(8), ord("a"), pow(2, 5, 7), list(range(0, 6, 2)), repr("x"), list(reversed([1, 2])), round(1.55, 1), set("aa"), slice(1, 2).stop, sorted([3, 1], reverse=True), str(b"a", "utf8"), sum([[1], [2]], []), tuple("ab"), list(zip("ab", [1, 2], strict=True)), ascii("é"), iter([1]).__next__(), next(iter([]), 9), isinstance(None, type(None)), type(1) is int, type("a").__name__, type([]) == list, id(1) == id(1), object() != object(), abs(-1), NotImplemented is not None, ... is Ellipsis)
        """,
    "abstract classes, mixins, descriptors, singletons": """
        from abc import ABC, abstractmethod
        class Base(ABC):
            registry = {}
            def __init_subclass__(cls, /, name=None, **kw):
                super().__init_subclass__(**kw); cls.registry[name or cls.__name__] = cls
            @property
            @abstractmethod
            def label(self): ...
            @abstractmethod
            def send(self, x): ...
            def __call__(self, x): return f"{self.label}:{self.send(x)}"
        class LogMixin:
            def send(self, x): self.sent = getattr(self, "sent", []) + [x]; return super().send(x)
        class Plain(Base, name="plain"):
            label = "p"
            def send(self, x): return x
        class Logged(LogMixin, Plain, name="logged"):
            @property
            def label(self): return "l" + super().label
        class Multi(Logged):
            def __init__(self, *a, **k): Logged.__init__(self); self.a = a
            def send(self, x): return super(Multi, self).send(x) + "!"
        class Single:
            _instance = None
            def __new__(cls, *a):
                if cls._instance is None: cls._instance = super().__new__(cls)
                return cls._instance
        class Attr:
            def __init__(self, **kw): self._d = kw
            def __getattr__(self, name):
                try: return self._d[name]
                except KeyError: raise AttributeError(name) from None
        class Temp:
            class Inner:
                v = 1
            def __class_getitem__(cls, item): return f"T[{item}]"
        class Desc:
            def __set_name__(self, owner, name): self.name = "_" + name
            def __get__(self, obj, owner=None): return self if obj is None else obj.store.get(self.name, "unset")
            def __set__(self, obj, value): obj.store[self.name] = value
        class Uses:
            field = Desc()
            def __init__(self): self.store = {}
        def main():
            try: Base()
            except TypeError as e: abstract = "abstract" in str(e)
            u = Uses(); first = u.field; u.field = 3
            a = Attr(x=1, _y=2)
            return Plain()("a"), Logged()("b"), Multi(1)("c"), sorted(Base.registry), abstract, Single() is Single(), a.x, a._y, hasattr(a, "z"), getattr(a, "q", 0), Temp.Inner.v, Temp[3], first, u.field, u.store, issubclass(Multi, Base), Base.registry["plain"]().label
        """,
    "json and hashes": """
        import json, hashlib, uuid, base64, zlib, secrets, hmac, binascii
        from datetime import datetime, date
        from decimal import Decimal
        from enum import Enum
        class E(Enum): A = 1
        class Enc(json.JSONEncoder):
            def default(self, o):
                if isinstance(o, (datetime, date)): return o.isoformat()
                if isinstance(o, Decimal): return float(o)
                if isinstance(o, set): return sorted(o)
                if isinstance(o, Enum): return o.name
                return super().default(o)
        def default(o): return {"__type__": type(o).__name__}
        def stable(x): return hashlib.sha256(json.dumps(x, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]
        def main():
            s = json.dumps({"d": date(2024, 1, 1), "n": Decimal("1.5"), "s": {2, 1}, "e": E.A}, cls=Enc)
            try: json.dumps(object())
            except TypeError as e: bad = str(e)
            h = hashlib.new("sha1"); h.update(b"a"); h2 = h.copy(); h2.update(b"b")
            return s, json.loads(s), json.dumps(1j, default=default), stable({"b": 1, "a": [1]}), bad, h.hexdigest()[:6], h2.digest_size, str(uuid.uuid5(uuid.NAMESPACE_DNS, "x")), uuid.UUID(int=5).hex, base64.urlsafe_b64encode(b"\\xff\\xfe").decode(), zlib.crc32(b"a"), len(secrets.token_urlsafe(8)) > 8, json.loads("[1.5]", parse_float=str), json.loads('{"a":1}', object_hook=lambda d: tuple(d.items())), json.loads('{"a":1,"a":2}', object_pairs_hook=list), json.dumps("é", ensure_ascii=False), json.dumps({"a": [1]}, indent=2), hmac.compare_digest(b"a", b"a"), binascii.crc32(b"x"), hashlib.blake2b(b"x", digest_size=4).hexdigest(), json.JSONDecoder().raw_decode("1 x")
        """,
    "urls and addresses": """
        from urllib.parse import urlsplit, urlencode, parse_qsl, urlunsplit, quote, unquote, urljoin, urlparse
        import ipaddress
        def add(url, **params):
            u = urlsplit(url)
            q = dict(parse_qsl(u.query)); q.update({k: str(v) for k, v in params.items() if v is not None})
            return urlunsplit(u._replace(query=urlencode(sorted(q.items()))))
        def main():
            u = urlparse("https://user:pw@host.com:8443/p;x?a=1#f")
            ip = ipaddress.ip_address("192.168.1.5")
            return add("https://h/p?a=1", b=2, c=None), u.hostname, u.port, u.username, u.params, u.fragment, u.geturl(), quote("a b/ü"), unquote("%20"), urljoin("https://a/b/", "../c"), ip.is_private, ip in ipaddress.ip_network("192.168.0.0/16"), str(ip + 1), int(ip), [str(h) for h in ipaddress.ip_network("10.0.0.0/30").hosts()]
        """,
    "private names everywhere": """
        _CONST = 1
        __version__ = "2"
        def _f(_a, *_args, _b=2, **_kw): return _a, _args, _b, _kw
        class _Base:
            _x = 1
            __y = 2
            def __init__(self, _v=0): self._v = _v; self.__w = self.__y
            def _get(self): return self._x, self.__y, self.__w, self._v
            @property
            def _p(self): return self._v
            @_p.setter
            def _p(self, v): self._v = v
            @staticmethod
            def __helper(x): return x + 1
            def use(self): return self.__helper(1)
        class Sub(_Base):
            __y = 20
            def both(self): return self.__y, self._get()
            def outer(self): return self._Base__y
        def main():
            s = Sub(_v=5); s._p = 6
            _, __ = 1, 2
            for _i in range(2): pass
            _d = {"_id": 1}
            return _f(1, 2, _b=3, _c=4), s.both(), s.outer(), s.use(), _CONST, __version__, _i, [_q for _q in "ab"], (lambda _z: _z)(3), f"{_d['_id']} {s._v} {_CONST=}", "{o._v}".format(o=s), getattr(s, "_x"), hasattr(s, "_nope"), dict(_a=1, **_d), sorted(_d), _, __, s._Base__w
        """,
    "type checking import": """
        from __future__ import annotations
        import typing
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from requests import Session
            import numpy as np
        else:
            Session = None
        if typing.TYPE_CHECKING: import pandas
        def f(s: Session) -> np.ndarray: return 1
        def main(): return f(None), Session
        """,
    "format attr": """
        class R:
            format = "csv"; _x = 3
        def main(): return "{0.format}-{0._x}".format(R()), "{r.format!r:>6}".format(r=R())
        """,
    "optional import": """
        try:
            import ujson as json
        except ImportError:
            import json
        def main(): return json.dumps({})
        """,
    "sentinel": """
        _MISSING = object()
        def get(d, k, default=_MISSING):
            v = d.get(k, default)
            if v is _MISSING: raise KeyError(k)
            return v
        def main():
            try: get({}, "a")
            except KeyError as e: return str(e), get({}, "a", None)
        """,
    "chained comparisons and ternaries": """
        def tier(x): return "gold" if x > 100 else "silver" if x > 50 else "bronze"
        def main(): return [tier(x) for x in (10, 60, 200)], 0 <= 5 < 10 != 3
        """,
    "dict tricks": """
        def main():
            d = {"b": 2, "a": 1}
            inv = {v: k for k, v in d.items()}
            d |= {"c": 3}; first = next(iter(d)); popped = d.pop("zz", None)
            return dict(sorted(d.items())), inv, first, popped, d.keys() & {"a", "x"}, dict.fromkeys("ab", 0), list(d.items())[-1], {**d, "a": 9} | {"z": 1}, d.setdefault("q", []).append(1), {k: v for k, v in zip("ab", range(2))}, max(d, key=lambda k: len(str(d[k]))), dict([("a", 1)]), "a" in d, d.get("nope", {}).get("x")
        """,
    "string methods": """
        def main():
            s = "  Hello, World  "
            return s.strip().lower(), s.split(","), "a,b,,c".split(","), "a b".partition(" "), "x".join("abc"), "abc".startswith(("a", "b")), "a-b".replace("-", "_"), "title case".title(), "abc".find("z"), "%d%%" % 5, "abc".translate(str.maketrans("a", "z")), "é".encode().decode("utf-8"), "a\\tb".expandtabs(4), "1".zfill(3), "ab".center(6, "*"), "line1\\nline2".splitlines(), "abc".isalnum(), "a" * 3, "abc"[1:], "A".casefold(), "a.b.c".rsplit(".", 1), "x".removeprefix("x"), f"{'a':>5}|{'b':<5}|{1.0:g}|{10:b}|{1e10:e}", "{}{}".format(*"ab"), "{0}{1}{0}".format("a", "b"), "{a[b]}".format(a={"b": 1}), "{:,.2f}".format(1234.5)
        """,
    "closures as config": """
        def pipeline(*steps):
            def run(value):
                for step in steps: value = step(value)
                return value
            return run
        def main():
            compose = pipeline(str.strip, str.lower, lambda s: s.replace(" ", "_"), len)
            return compose("  A B "), list(map(str.upper, "ab")), sorted(["b", "A"], key=str.lower), list(filter(str.isdigit, "a1"))
        """,
    "class variables and counters": """
        class Counter:
            total = 0
            __slots__ = ("n", "_m")
            def __init__(self): self.n = 0; self._m = []
            def __iadd__(self, k): self.n += k; type(self).total += k; return self
        def main():
            c = Counter(); c += 2; c += 3
            try: c.zzz = 1
            except AttributeError: bad = True
            return c.n, Counter.total, bad
        """,
    "type(self)": """
        class A:
            limit = 3
            def clone(self): return type(self)()
            def cls(self): return self.__class__.__name__, type(self).limit
            def __eq__(self, o): return type(o) is type(self)
            def __hash__(self): return 1
        class B(A): limit = 4
        def main(): return B().clone().cls(), A() == B(), A() == A()
        """,
    "same class by __class__": """
        class A:
            def __init__(self, x): self.x = x
            def copy(self): return self.__class__(self.x)
            def __eq__(self, o): return self.__class__ is o.__class__ and self.x == o.x
            def __hash__(self): return hash(self.x)
            def __repr__(self): return f"{self.__class__.__name__}({self.x})"
        def main(): return repr(A(1).copy()), A(1) == A(1)
        """,
    "isinstance dispatch": """
        def show(v):
            if v is None: return "null"
            if isinstance(v, bool): return str(v).lower()
            if isinstance(v, (int, float)): return repr(v)
            if isinstance(v, str): return '"' + v + '"'
            if isinstance(v, dict): return "{" + ",".join(f"{show(k)}:{show(x)}" for k, x in v.items()) + "}"
            if isinstance(v, (list, tuple, set)): return "[" + ",".join(map(show, v)) + "]"
            raise TypeError(f"unsupported: {type(v)}")
        def main():
            try: show(object())
            except TypeError as e: bad = str(e)
            return show({"a": [1, None, True, {"b": 2.5}]}), bad
        """,
    "type dispatch table": """
        TABLE = {int: lambda x: x + 1, str: str.upper, list: len, dict: sorted, type(None): lambda _: "none", float: round}
        def main(): return [TABLE[type(v)](v) for v in (1, "a", [1], {"b": 1}, None, 2.6)]
        """,
    "error chain": """
        def main():
            try:
                try: 1 / 0
                except ZeroDivisionError as e: raise ValueError("x") from e
            except ValueError as e: return type(e.__cause__).__name__, e.__context__ is e.__cause__
        """,
    "function attributes": """
        def f(): f.calls += 1; return f.calls
        f.calls = 0
        def main(): f(); return f(), f.__name__, f.__doc__, f.__qualname__, f.__module__ == __name__
        """,
    "main guard": """
        def main(): return 1
        if __name__ == "__main__":
            main()
        """,
    "assert message": """
        def main():
            try: assert [], f"empty {1}"
            except AssertionError as e: return e.args
        """,
    "global dict cache": """
        import time
        _cache = {}
        def cached(key, ttl, make):
            now = time.monotonic()
            hit = _cache.get(key)
            if hit and hit[1] > now: return hit[0]
            value = make(); _cache[key] = (value, now + ttl); return value
        def main(): return cached("a", 10, lambda: 1), cached("a", 10, lambda: 2)
        """,
    "statistics": """
        import statistics as st
        def main(): return st.mean([1, 2]), st.median([3, 1, 2]), st.stdev([1, 2, 3]), st.mode("aab"), st.quantiles([1, 2, 3, 4], n=4), st.NormalDist(0, 1).cdf(0)
        """,
    "copy": """
        import copy
        class N:
            def __init__(self, v, kids=()): self.v, self.kids = v, list(kids)
            def __copy__(self): return N(self.v)
        def main():
            a = {"x": [1, {"y": 2}], "n": N(1, [N(2)])}; b = copy.deepcopy(a); b["x"][1]["y"] = 3; b["n"].kids[0].v = 9
            return a["x"], b["x"], a["n"].kids[0].v, copy.copy(N(1, [2])).kids, copy.copy([1])
        """,
    "heap items": """
        import heapq
        from dataclasses import dataclass, field
        @dataclass(order=True)
        class Job:
            priority: int
            name: str = field(compare=False)
        def main():
            h = [Job(2, "b"), Job(1, "a")]; heapq.heapify(h)
            return heapq.heappop(h).name, [j.name for j in heapq.merge([Job(1, "x")], [Job(0, "y")])]
        """,
    "functools more": """
        from functools import lru_cache, cache, cached_property, partial, partialmethod, reduce, wraps, singledispatch
        @lru_cache(maxsize=None)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        class R:
            def __init__(self): self.n = 0
            @cached_property
            def heavy(self): self.n += 1; return 42
            def call(self, m, p): return m, p
            get = partialmethod(call, "GET")
            @cache
            def memo(self, x): return x
        @singledispatch
        def enc(o): return "obj"
        @enc.register(int)
        @enc.register(float)
        def _(o): return "num"
        @enc.register(list)
        def enc_list(o): return [enc(i) for i in o]
        def main():
            r = R(); r.heavy; r.heavy
            fib(20); info = fib.cache_info(); fib.cache_clear()
            return fib(30), r.n, r.get("/x"), enc([1, "a", 2.5]), partial(int, base=2)("101"), reduce(lambda a, b: a | b, [{"a": 1}, {"b": 2}], {}), info.hits > 0, R().memo(1), enc.dispatch(bool)(True)
        """,
    "unpack": """
        def f(): return 1, (2, [3, 4])
        def main():
            a, (b, [c, *d]) = f()
            for i, (k, v) in enumerate({"x": 1}.items()): pass
            (x, y), z = [1, 2], 3
            head, *_, tail = range(5)
            m = [[1, 2], [3, 4]]
            return a, b, c, d, i, k, v, x, y, z, head, tail, list(zip(*m)), [r[0] for r in m], sum(map(sum, m)), [[r[i] for r in m] for i in range(2)]
        """,
    "bytes": """
        def main():
            b = bytearray(b"abc"); b[0] = 65; b += b"d"; del b[1]
            return bytes(b), b"a,b".split(b","), int.from_bytes(b"\\x01\\x00", "big"), (258).to_bytes(2, "little"), b"ab".hex(), bytes.fromhex("6162"), "é".encode("latin-1"), b"\\xff".decode("utf-8", "replace"), b"x" in b"xyz", bytes([1, 2])
        """,
    "while-else walrus": """
        def main():
            data = iter([1, 2, 3]); out = []
            while (x := next(data, None)) is not None: out.append(x)
            else: out.append("end")
            return out, [y for x in range(5) if (y := x ** 2) % 2], any((n := i) > 2 for i in range(5)), n
        """,
    "match more": """
        class P:
            __match_args__ = ("x", "y")
            def __init__(self, x, y): self.x, self.y = x, y
        LIMIT = 10
        class K: A = "a"
        def f(v):
            match v:
                case P(0, y): return "origin-x", y
                case P(x=x, y=y) if x == y: return "diag"
                case {"k": [first, *_, {"deep": d}]}: return first, d
                case K.A: return "const"
                case str(s) | bytes(s): return s[:1]
                case (int(a) | float(a), None): return a
                case [] | {}: return "empty?"
                case {"a": 1, **r} if r: return r
                case -1 | 1j | "x": return "lit"
                case _: return "other"
        def main(): return [f(v) for v in (P(0, 1), P(2, 2), {"k": [1, 2, {"deep": 3}]}, "a", "hey", b"b", (1, None), [], {"a": 1, "b": 2}, -1, 3.5)]
        """,
    "nested functions and recursion": """
        def walk(node, path=()):
            yield "/".join(path), node.get("v")
            for name, kid in node.get("kids", {}).items(): yield from walk(kid, (*path, name))
        def main(): return dict(walk({"v": 1, "kids": {"a": {"v": 2, "kids": {"b": {"v": 3}}}}}))
        """,
    "secrets and signing": """
        import hmac, hashlib, base64, time, json
        def b64(x): return base64.urlsafe_b64encode(x).rstrip(b"=").decode()
        def jwt(payload, key):
            h = b64(json.dumps({"alg": "HS256"}).encode()); p = b64(json.dumps(payload).encode())
            s = b64(hmac.new(key.encode(), f"{h}.{p}".encode(), hashlib.sha256).digest())
            return ".".join((h, p, s))
        def main(): return jwt({"sub": "1"}, "k"), hashlib.md5("ü".encode()).hexdigest(), hmac.digest(b"k", b"m", "sha1").hex()[:6], hmac.HMAC(b"k", b"m", "sha256").hexdigest()[:6]
        """,
    "class level comprehension": """
        class Codes:
            ALL = {k: i for i, k in enumerate(("a", "b"))}
            NAMES = [k.upper() for k in ("x", "y")]
            MAX = max(ALL.values())
            def __class_getitem__(cls, k): return cls.ALL[k]
        def main(): return Codes.ALL, Codes.NAMES, Codes.MAX, Codes["b"]
        """,
    "properties all kinds": """
        class T:
            def __init__(self): self._c = 0
            def _get(self): return self._c
            def _set(self, v): self._c = v
            def _del(self): self._c = -1
            c = property(_get, _set, _del, "doc")
            @property
            def d(self): return self._c * 2
            @d.setter
            def d(self, v): self._c = v // 2
            @d.deleter
            def d(self): self._c = 0
        def main():
            t = T(); t.c = 5; a = t.d; t.d = 8; b = t.c; del t.d; c = t.c; del t.c
            return a, b, c, t.c, T.c.__doc__
        """,
    "iter protocol": """
        class Countdown:
            def __init__(self, n): self.n = n
            def __iter__(self): return self
            def __next__(self):
                if self.n <= 0: raise StopIteration
                self.n -= 1; return self.n
            def __length_hint__(self): return self.n
        class Seq:
            def __init__(self, *a): self.a = a
            def __getitem__(self, i): return self.a[i]
            def __len__(self): return len(self.a)
            def __reversed__(self): return reversed(self.a)
        def main(): return list(Countdown(3)), list(Seq(1, 2)), Seq(1, 2, 3)[1:], list(reversed(Seq(1, 2))), 2 in Seq(1, 2), max(Seq(4, 9)), [*Countdown(2)], dict(zip(Seq("a"), Countdown(1))), list(iter(lambda c=Countdown(3): next(c), 0))
        """,
    "logging": """
        import logging
        log = logging.getLogger(__name__)
        logging.basicConfig(level=logging.INFO)
        def main(): log.info("x %s", 1); log.warning("y", extra={"a": 1}); return log.name
        """,
    "typing runtime": """
        from typing import TypeVar, Generic, Callable, Any, Optional, List, Dict
        T = TypeVar("T")
        Handler = Callable[[Dict[str, Any]], Optional[List[int]]]
        class Repo(Generic[T]):
            items: List[T]
            def __init__(self): self.items = []
            def add(self, x: T) -> "Repo[T]": self.items.append(x); return self
        class IntRepo(Repo[int]): pass
        def main(): return IntRepo().add(1).items, Repo[str]().add("a").items, isinstance(IntRepo(), Repo)
        """,
    "dataclass features": """
        from dataclasses import dataclass, field, InitVar, asdict, fields, FrozenInstanceError
        @dataclass(frozen=True, slots=True)
        class Pt:
            x: int = 0
            y: int = 0
            def move(self, dx): return Pt(self.x + dx, self.y)
        @dataclass
        class Acc:
            total: float = field(init=False, default=0)
            seed: InitVar[int] = 5
            log: list = field(default_factory=list, repr=False, metadata={"k": 1})
            def __post_init__(self, seed): self.total = seed * 2
        @dataclass(eq=False)
        class Child(Acc):
            extra: str = "e"
        def main():
            try: Pt().x = 5
            except FrozenInstanceError as e: frozen = str(e)
            return Pt(1).move(2), hash(Pt(1)) == hash(Pt(1)), frozen, Acc(3).total, repr(Child()), {Pt(1): "a"}[Pt(1)], fields(Acc)[1].metadata["k"] if len(fields(Acc)) > 1 else 0, asdict(Child(1))
        """,
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_it_means_what_it_means_in_plain_python(name: str, same: Callable[[str], None]) -> None:
    same(SNIPPETS[name])
