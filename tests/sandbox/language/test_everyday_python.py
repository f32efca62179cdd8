"""Ordinary Python that people write in functions: it compiles, and means what it means elsewhere.

Every snippet runs twice, under the policy and as plain Python, and both answers must be the same.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SNIPPETS = {
    "nested data with defaults": """
        def main():
            event = {"properties": {"items": [{"price": 3, "quantity": 2}, {"price": 5}]}}
            items = event.get("properties", {}).get("items") or []
            return sum(item["price"] * item.get("quantity", 1) for item in items)
        """,
    "augmented assignment to items and attributes": """
        class Counter:
            total = 0
        def main():
            counts, counter = {}, Counter()
            for name in "abca":
                counts[name] = counts.get(name, 0)
                counts[name] += 1
                counter.total += 1
            return counts, counter.total
        """,
    "chained assignment calls once": """
        calls = []
        def f():
            calls.append(1)
            return 1, 2
        def main():
            x = a, b = f()
            return x, a, b, len(calls)
        """,
    "list targets and starred targets": """
        def main():
            [a, b] = [1, 2]
            first, *rest = [3, 4, 5]
            (c, (d, e)) = 1, (2, 3)
            return a, b, first, rest, c, d, e
        """,
    "dict and set comprehensions": """
        def main():
            data = {"userId": 1, "email": None, "plan": "pro"}
            return {k: v for k, v in data.items() if v is not None}, sorted({v for v in "hello"})
        """,
    "generators": """
        def chunks(items, size):
            for at in range(0, len(items), size):
                yield items[at:at + size]
        def main():
            def both():
                yield from chunks([1, 2, 3], 2)
                return 9
            return list(both()), next(x for x in range(9) if x > 3)
        """,
    "generators that are sent to and closed": """
        def main():
            seen = []
            def gen():
                try:
                    while True:
                        seen.append((yield len(seen)))
                finally:
                    seen.append("closed")
            g = gen()
            next(g)
            g.send("a")
            g.close()
            return seen
        """,
    "closures and nonlocal": """
        def counter():
            n = 0
            def more():
                nonlocal n
                n += 1
                return n
            return more
        def main():
            more = counter()
            more()
            return more()
        """,
    "global counters": """
        seen = 0
        def bump():
            global seen
            seen += 1
        def main():
            bump(); bump()
            return seen
        """,
    "private names": """
        _token = None
        __secret = 3
        def _helper(_x, *, _y=1):
            return _x + _y
        class Thing:
            _shared = 5
            def __init__(self):
                self._v = 1
                self.__w = 2
            def _sum(self):
                return self._v + self.__w + self._shared
        def main():
            _, _z = 1, 2
            return _token, __secret, _helper(1, _y=2), Thing()._sum(), _z
        """,
    "private keywords are data to dict": """
        def main():
            data = dict(_id=1, name="x")
            data.update(_rev=2)
            return data, "{_x}".format(_x=3)
        """,
    "private keywords reach classes and rest parameters": """
        class A:
            def __init__(self, _x=0, **rest):
                self.got = _x, rest
        def main():
            return A(_x=1, _other=2).got
        """,
    "classes with properties and inheritance": """
        class Base:
            def __init__(self, name):
                self.name = name
            def __str__(self):
                return f"Base({self.name})"
            def __eq__(self, other):
                return isinstance(other, Base) and self.name == other.name
            def __hash__(self):
                return hash(self.name)
        class Child(Base):
            def __init__(self, name, age=1):
                super().__init__(name)
                self._age = age
            @property
            def age(self):
                return self._age
            @age.setter
            def age(self, value):
                self._age = value
            @classmethod
            def make(cls, name):
                return cls(name, 7)
            @staticmethod
            def twice(x):
                return 2 * x
        def main():
            c = Child.make("x")
            c.age += 1
            return str(c), c.age, c == Base("x"), Child.twice(4), len({c, Base("x")})
        """,
    "containers of one's own": """
        class Bag:
            def __init__(self): self.items = {}
            def __getitem__(self, k): return self.items[k]
            def __setitem__(self, k, v): self.items[k] = v
            def __delitem__(self, k): del self.items[k]
            def __contains__(self, k): return k in self.items
            def __len__(self): return len(self.items)
            def __iter__(self): return iter(self.items)
            def __bool__(self): return True
            def __call__(self, x): return x + 1
            def __getattr__(self, name): return name.upper()
            def __add__(self, other): return "added"
            def __lt__(self, other): return True
        def main():
            b = Bag()
            b["a"] = 1
            b["b"] = 2
            del b["a"]
            return "b" in b, len(b), list(b), b(1), b.hello, b + b, b < b
        """,
    "slots": """
        class Point:
            __slots__ = ("x", "_y")
            def __init__(self, x, y):
                self.x = x
                self._y = y
            def both(self):
                return self.x, self._y
        def main():
            return Point(1, 2).both()
        """,
    "dataclasses": """
        from dataclasses import dataclass, field, asdict, replace, fields
        @dataclass
        class Item:
            sku: str
            price: float = 0.0
            tags: list[str] = field(default_factory=list)
            _note: str = ""
        @dataclass(frozen=True, order=True)
        class Money:
            amount: int
            def __post_init__(self):
                object.__setattr__(self, "amount", abs(self.amount))
        def main():
            item = Item("a", 2.5, _note="n")
            item.tags.append("x")
            names = [f.name for f in fields(Money)]
            return asdict(item), asdict(replace(item, price=3)), Money(-2) < Money(3), names, Money(-2).amount
        """,
    "dataclasses with future annotations": """
        from __future__ import annotations
        import dataclasses
        from typing import ClassVar
        @dataclasses.dataclass(slots=True, kw_only=True)
        class Node:
            limit: ClassVar[int] = 3
            name: str
            parent: Node | None = None
        def main():
            return Node(name="x", parent=Node(name="y")).parent.name, Node.limit
        """,
    "enums": """
        from enum import Enum, IntEnum, StrEnum, auto, unique
        @unique
        class Plan(Enum):
            FREE = "free"
            PRO = "pro"
            @property
            def paid(self):
                return self is not Plan.FREE
            @classmethod
            def _missing_(cls, value):
                return cls.FREE
        class Level(IntEnum):
            LOW = auto()
            HIGH = auto()
        class Name(StrEnum):
            A = "a"
        def main():
            return Plan("pro").paid, Plan("what").name, [p.value for p in Plan], Level.HIGH + 1, f"{Name.A}", Plan["PRO"].name
        """,
    "named tuples and typed dicts": """
        from collections import namedtuple
        from typing import NamedTuple, TypedDict
        Pair = namedtuple("Pair", "left right", defaults=[0])
        class Point(NamedTuple):
            x: int
            y: int = 2
            def length(self):
                return self.x + self.y
        class Row(TypedDict, total=False):
            a: int
        def main():
            return Pair(1)._asdict(), Point(1)._replace(y=9).length(), Point._fields, Row(a=1), list(Pair(3, 4))
        """,
    "generics, protocols and abstract classes": """
        from abc import ABC, abstractmethod
        from typing import Generic, Protocol, TypeVar
        T = TypeVar("T")
        class Box(Generic[T]):
            def __init__(self, value: T) -> None:
                self.value: T = value
        class Sender(Protocol):
            def push(self, x: int) -> None: ...
        class Base(ABC):
            @abstractmethod
            def name(self) -> str: ...
        class Real(Base):
            def name(self) -> str:
                return "real"
        def main():
            try:
                Base()
                made = True
            except TypeError:
                made = False
            return Box[int](3).value, Real().name(), made
        """,
    "match on shapes": """
        from dataclasses import dataclass
        @dataclass
        class Order:
            id: int
            total: float
        def kind(value):
            match value:
                case {"type": "track", "event": str(name), **rest}:
                    return name, sorted(rest)
                case {"type": "identify" | "group" as which}:
                    return which
                case [first, *others] if others:
                    return first, others
                case Order(id=1, total=t):
                    return t
                case Order(number, _):
                    return number
                case None | True:
                    return "constant"
                case int() | float():
                    return "number"
                case _:
                    return "?"
        def main():
            values = [{"type": "track", "event": "E", "a": 1}, {"type": "group"}, [1, 2], Order(1, 2.5), Order(2, 0), None, 3, "x"]
            return [kind(v) for v in values]
        """,
    "try, except, else, finally": """
        class Bad(ValueError):
            def __init__(self, message, status):
                super().__init__(message)
                self.status = status
        def main():
            log = []
            for value in ("1", "x", None, "bad"):
                try:
                    if value == "bad":
                        raise Bad("no", 400)
                    int(value)
                except Bad as error:
                    log.append((str(error), error.status))
                except (ValueError, TypeError) as error:
                    log.append(type(error).__name__)
                else:
                    log.append("fine")
                finally:
                    log.append("done")
            return log
        """,
    "raise from, notes and bare raise": """
        def main():
            try:
                try:
                    {}["a"]
                except KeyError as error:
                    raise RuntimeError("wrapped") from error
            except RuntimeError as error:
                error.add_note("more")
                error.status = 500
                return str(error), error.status
        """,
    "bare except and except BaseException": """
        def main():
            out = []
            try:
                1 / 0
            except:
                out.append(1)
            try:
                raise KeyboardInterrupt
            except BaseException as error:
                out.append(type(error).__name__)
            return out
        """,
    "return from try with finally": """
        log = []
        def f():
            for n in range(3):
                try:
                    if n == 1:
                        return n
                finally:
                    for x in range(2):
                        if x:
                            break
                    log.append(n)
        def main():
            return f(), log
        """,
    "context managers": """
        from contextlib import contextmanager, suppress, ExitStack, closing, nullcontext
        class Timer:
            def __enter__(self):
                self.events = ["in"]
                return self
            def __exit__(self, kind, error, traceback):
                self.events.append(kind.__name__ if kind else None)
                return True
        @contextmanager
        def tag(name):
            yield f"<{name}>"
        def main():
            with Timer() as timer, tag("b") as opened:
                raise ValueError
            with suppress(KeyError):
                {}["a"]
            with ExitStack() as stack:
                stack.enter_context(tag("x"))
                stack.callback(timer.events.append, "out")
            with nullcontext(3) as three:
                pass
            return timer.events, opened, three
        """,
    "string methods and formatting": """
        def main():
            user = {"name": "Ann", "age": 3}
            parts = ["{name} is {age:>3}".format(**user), "{:.2f}|{:,}".format(2.5, 1000), "%s-%d" % ("a", 1)]
            parts += ["{0[name]}".format(user), "{x}".format_map({"x": 1}), f"{user['name']!r:>8} {3.14159:.{2}f}"]
            parts += [format(1234.5, ",.1f"), "{:>{width}}".format("r", width=4)]
            return parts
        """,
    "format of attributes that are the author's": """
        class P:
            def __init__(self):
                self.x = 1
                self._y = 2
        def main():
            return "{0.x} {p._y}".format(P(), p=P())
        """,
    "lambdas, sorting and keys": """
        from operator import itemgetter
        def main():
            rows = [{"n": 2, "s": "b"}, {"n": 1, "s": "a"}]
            best = max(rows, key=lambda r: r["n"])
            return sorted(rows, key=itemgetter("n")), best, sorted("bca", reverse=True), list(map(lambda x, y=1: x + y, [1]))
        """,
    "walrus": """
        import re
        def main():
            if (found := re.search(r"(\\d+)", "order 42")) is not None:
                return found.group(1), [y for x in range(4) if (y := x * 2) > 2]
        """,
    "star arguments and unpacking": """
        def f(a, /, b, *args, c=1, **kw):
            return a, b, args, c, kw
        def main():
            extra = {"d": 4}
            return f(1, 2, *[3], c=5, **extra), [*range(2), *"ab"], {**extra, "e": 1}
        """,
    "decorators with wraps": """
        import functools
        def retry(times):
            def decorate(fn):
                @functools.wraps(fn)
                def wrapper(*args, **kwargs):
                    for at in range(times):
                        try:
                            return fn(*args, **kwargs)
                        except ValueError:
                            if at == times - 1:
                                raise
                return wrapper
            return decorate
        tries = []
        @retry(3)
        def flaky(x):
            "Fails twice."
            tries.append(x)
            if len(tries) < 3:
                raise ValueError
            return x
        def main():
            return flaky(7), len(tries), flaky.__name__, flaky.__doc__
        """,
    "functools": """
        import functools
        calls = []
        @functools.lru_cache(maxsize=2)
        def slow(x):
            calls.append(x)
            return x * 2
        @functools.singledispatch
        def show(x):
            return "object"
        @show.register(int)
        def _(x):
            return "int"
        @functools.total_ordering
        class V:
            def __init__(self, n): self.n = n
            def __eq__(self, o): return self.n == o.n
            def __lt__(self, o): return self.n < o.n
        class C:
            @functools.cached_property
            def value(self):
                calls.append("c")
                return 5
        def main():
            c = C()
            return slow(1), slow(1), calls, show(1), show(""), V(1) >= V(0), c.value + c.value, functools.reduce(lambda a, b: a * b, [1, 2, 3]), functools.partial(max, 3)(2)
        """,
    "itertools and collections": """
        from collections import Counter, defaultdict, deque, OrderedDict
        from itertools import groupby, islice, chain, count, zip_longest
        import collections.abc
        def main():
            groups = defaultdict(list)
            for n in range(5):
                groups[n % 2].append(n)
            words = {k: len(list(g)) for k, g in groupby(sorted("banana"))}
            d = deque([1, 2], maxlen=2)
            d.append(3)
            return dict(groups), words, list(d), Counter("aab").most_common(1), list(islice(count(), 2)), isinstance({}, collections.abc.Mapping), list(chain([1], [2])), list(zip_longest("a", ""))
        """,
    "json both ways": """
        import json
        class Encoder(json.JSONEncoder):
            def default(self, o):
                return str(o) if isinstance(o, complex) else super().default(o)
        def main():
            try:
                json.loads("{")
            except json.JSONDecodeError as error:
                at = error.pos
            return json.loads(json.dumps({"a": [1, None, "é"]})), at, json.dumps({"c": 1j}, cls=Encoder)
        """,
    "dates and zones": """
        from datetime import datetime, timedelta, timezone, UTC
        from zoneinfo import ZoneInfo
        import time, calendar
        def main():
            at = datetime.fromisoformat("2024-02-28T23:30:00+00:00")
            local = at.astimezone(ZoneInfo("Europe/Berlin"))
            parsed = datetime.strptime("2024-01-02", "%Y-%m-%d").replace(tzinfo=timezone.utc)
            return local.isoformat(), (at + timedelta(days=2)).date().isoformat(), parsed.timestamp(), at.strftime("%d %b"), time.time() > 0, calendar.monthrange(2024, 2), at.tzinfo == UTC
        """,
    "hashes and encodings": """
        import hashlib, hmac, base64, binascii, zlib, gzip, uuid, secrets
        def main():
            digest = hmac.new(b"key", b"body", hashlib.sha256).hexdigest()
            token = base64.urlsafe_b64encode(b"a?b").decode().rstrip("=")
            return hashlib.md5(b"x").hexdigest(), digest, token, binascii.hexlify(b"a"), zlib.decompress(zlib.compress(b"z")), gzip.decompress(gzip.compress(b"g")), str(uuid.uuid5(uuid.NAMESPACE_URL, "http://x")), len(secrets.token_hex(4)), hmac.compare_digest("a", "a")
        """,
    "urls and html": """
        from urllib.parse import urlencode, urlparse, parse_qs, quote
        import urllib.parse
        import html
        def main():
            url = urlparse("https://example.com/p?a=1&b=2")
            return url.netloc, parse_qs(url.query), urlencode({"q": "a b"}), quote("/x y"), html.escape("<a>"), urllib.parse.urljoin("http://a/b", "c")
        """,
    "numbers": """
        import math, statistics
        from decimal import Decimal, ROUND_HALF_UP, getcontext
        from fractions import Fraction
        def main():
            getcontext().prec = 20
            price = Decimal("1.005").quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
            return str(price), math.ceil(1.2), statistics.mean([1, 2]), str(Fraction(1, 3) + 1), divmod(7, 2), round(2.567, 1), int("ff", 16), 7 // 2, -7 % 3, 2 ** 10, 5 & 3, 1 << 4, ~1
        """,
    "csv in memory": """
        import csv, io
        def main():
            out = io.StringIO()
            writer = csv.DictWriter(out, fieldnames=["a", "b"])
            writer.writeheader()
            writer.writerow({"a": 1, "b": "x,y"})
            return list(csv.DictReader(io.StringIO(out.getvalue())))
        """,
    "regular expressions": """
        import re
        EMAIL = re.compile(r"^[^@\\s]+@(?P<host>[^@\\s]+)$", re.IGNORECASE)
        def main():
            match = EMAIL.match("Ann@Example.com")
            return match["host"], match.groupdict(), re.sub(r"\\s+", " ", "a  b"), re.split(",", "a,b"), [m.start() for m in re.finditer("a", "aba")]
        """,
    "random that is seeded": """
        import random
        def main():
            mine = random.Random(7)
            return mine.randint(1, 100), mine.choice("abc"), 0 <= random.random() < 1
        """,
    "text": """
        import textwrap, unicodedata, string
        def main():
            return textwrap.shorten("hello big world", 10), unicodedata.normalize("NFKD", "é")[0], string.ascii_lowercase[:3], string.Template("$a b").substitute(a=1)
        """,
    "heaps, bisect, ipaddress, copy, http": """
        import heapq, bisect, ipaddress, copy
        from http import HTTPStatus
        def main():
            heap = [3, 1, 2]
            heapq.heapify(heap)
            data = {"a": [1]}
            twin = copy.deepcopy(data)
            twin["a"].append(2)
            return heapq.heappop(heap), bisect.bisect([1, 2, 3], 2), ipaddress.ip_address("10.0.0.1").is_private, data, HTTPStatus.NOT_FOUND.value, HTTPStatus(200).phrase
        """,
    "getattr and hasattr with a written name": """
        class A:
            x = 1
            _y = 2
        def main():
            a = A()
            return getattr(a, "x"), getattr(a, "_y"), getattr(a, "z", None), hasattr(a, "x"), hasattr(a, "nope")
        """,
    "missing attributes raise": """
        class A: pass
        def main():
            try:
                A().missing
            except AttributeError as error:
                return error.name
        """,
    "names of types and functions": """
        def helper(): pass
        def main():
            return type(3).__name__, (3.0).__class__.__name__, helper.__name__, type(3) is int, isinstance(3, (int, str)), type("x") == str
        """,
    "attributes of functions and classes": """
        def f(): pass
        f.calls = 0
        class A: pass
        def main():
            f.calls += 1
            A.limit = 3
            a = A()
            a.x = 1
            del a.x
            return f.calls, A.limit, hasattr(a, "x")
        """,
    "class keywords": """
        class Plugin:
            def __init_subclass__(cls, *, kind="none", **rest):
                super().__init_subclass__(**rest)
                cls.kind = kind
        class Csv(Plugin, kind="csv"): pass
        def main():
            return Csv.kind
        """,
    "__new__ and __init__": """
        class Upper(str):
            def __new__(cls, value):
                return super().__new__(cls, value.upper())
        def main():
            return Upper("abc") + "d"
        """,
    "descriptors": """
        class Positive:
            def __set_name__(self, owner, name):
                self.name = name
            def __get__(self, instance, owner=None):
                return self if instance is None else instance.values[self.name]
            def __set__(self, instance, value):
                if value < 0:
                    raise ValueError(self.name)
                instance.values[self.name] = value
        class Order:
            total = Positive()
            def __init__(self, total):
                self.values = {}
                self.total = total
        def main():
            try:
                Order(-1)
            except ValueError as error:
                return Order(2).total, str(error)
        """,
    "loops with else, break and continue": """
        def main():
            out = []
            for n in range(10):
                if n % 2:
                    continue
                if n > 5:
                    break
                out.append(n)
            else:
                out.append("never")
            while out:
                out.pop()
            else:
                out.append("end")
            return out
        """,
    "del, assert, conditional expressions": """
        def main():
            data = {"a": 1, "b": 2}
            rows = [1, 2, 3, 4]
            del data["a"], rows[1:3]
            assert data, "never"
            x = 1 if data else 2
            del x
            return data, rows, 1 < 2 <= 2 != 3, not data, data is not None and "b" in data
        """,
    "async gather, sleep, timeout": """
        import asyncio
        async def work(n):
            await asyncio.sleep(0)
            return n * 2
        async def main():
            results = await asyncio.gather(*(work(n) for n in range(3)))
            failed = await asyncio.gather(work(1), boom(), return_exceptions=True)
            try:
                await asyncio.wait_for(asyncio.sleep(5), timeout=0.001)
            except asyncio.TimeoutError:
                results.append("late")
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(5)
            except TimeoutError:
                results.append("late too")
            return results, [type(f).__name__ for f in failed]
        async def boom():
            raise ValueError
        """,
    "async groups, locks, queues": """
        import asyncio
        async def main():
            queue, lock, limit, got = asyncio.Queue(), asyncio.Lock(), asyncio.Semaphore(2), []
            async def producer():
                for n in range(3):
                    await queue.put(n)
                await queue.put(None)
            async def consumer():
                while (item := await queue.get()) is not None:
                    async with lock, limit:
                        got.append(item)
            async with asyncio.TaskGroup() as group:
                group.create_task(producer())
                task = group.create_task(consumer())
            return got, task.done()
        """,
    "async generators and context managers": """
        from contextlib import asynccontextmanager
        async def numbers():
            for n in range(3):
                yield n
        @asynccontextmanager
        async def session():
            yield "s"
        class Client:
            async def __aenter__(self):
                return self
            async def __aexit__(self, *error):
                return False
        async def main():
            async with session() as s, Client() as client:
                found = [n async for n in numbers() if n]
            async for n in numbers():
                pass
            return s, found, n, type(client).__name__
        """,
    "text with any letters": """
        größe = "ñandú 🦙"
        def main():
            return größe.title(), "\\N{SNOWMAN}", len(größe)
        """,
    "module metadata": '''
        """A function."""
        __all__ = ["main"]
        __version__ = "1.0"
        def main():
            return __version__
        ''',
    "catching with a tuple in a variable": """
        RETRYABLE = (KeyError, ValueError)
        def main():
            try:
                raise KeyError("x")
            except RETRYABLE as error:
                return error.args
        """,
    "exception groups": """
        def main():
            try:
                raise ExceptionGroup("many", [ValueError("a"), TypeError("b")])
            except ExceptionGroup as group:
                return [type(e).__name__ for e in group.exceptions]
        """,
    "traceback as text": """
        import traceback
        def main():
            try:
                1 / 0
            except ZeroDivisionError:
                return traceback.format_exc().splitlines()[-1]
        """,
    "names of builtins as variables": """
        def main():
            type, id, input, filter, open = "track", 3, {"a": 1}, None, True
            return type, id, input["a"], filter, open
        """,
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_it_means_what_it_means_in_plain_python(name: str, same: Callable[[str], None]) -> None:
    same(SNIPPETS[name])


def test_annotations_are_never_evaluated(load: Callable[..., dict[str, Any]]) -> None:
    module = load(
        """
        Total: "NotThere" = 3
        rows: list[Missing]
        def f(x: Undefined = 1, *args: Nope, **kw: Nope) -> AlsoMissing:
            y: Whatever = x
            z: Whatever
            return y
        class C:
            a: AlsoMissing = 4
        """
    )
    assert (module["Total"], module["f"](2), module["C"].a) == (3, 2, 4)


def test_injected_names_import_too(load: Callable[..., dict[str, Any]]) -> None:
    module = load(
        """
        import engine.function as of
        from engine.function import fetch, cache, console as log, RetryError, Event, TrackEvent, Settings
        from engine import function
        def main(event: Event, settings: Settings):
            return of.cache is cache is function.cache, issubclass(RetryError, Exception), cache.load("k", lambda: 3)
        """
    )
    assert module["main"]({}, None) == (True, True, 3)


def steps(function: Callable[..., object], *arguments: object) -> Counter[str]:
    """Instructions that are executed, and functions of C that are called: what a guard would add to, on any machine."""
    seen: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        frame.f_trace_opcodes = True
        seen["opcode"] += event == "opcode"
        return trace

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        seen["c_call"] += event == "c_call"

    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
        sys.settrace(None)
    return seen


def test_a_handler_that_reads_and_builds_costs_what_it_costs_in_plain_python(
    load: Callable[..., dict[str, Any]],
) -> None:
    source = textwrap.dedent(
        """
        def main(event):
            properties = event["properties"]
            out = {"name": event["event"].lower(), "total": 0.0, "items": []}
            for item in properties["items"]:
                out["items"].append({"sku": item["sku"].strip(), "price": round(item["price"], 2)})
                out["total"] += item["price"] * item.get("quantity", 1)
            return out
        """
    )
    plain: dict[str, Any] = {"__name__": "function"}
    exec(compile(source, "plain.py", "exec", dont_inherit=True), plain)
    event = {"event": "Order", "properties": {"items": [{"sku": " a ", "price": 1.5}] * 20}}
    restricted, free = (steps(main, event) for main in (load(source)["main"], plain["main"]))
    assert restricted <= free


def test_the_collection_is_large() -> None:
    assert len(SNIPPETS) >= 40
