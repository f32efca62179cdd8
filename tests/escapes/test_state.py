"""State across invocations and destinations: what one leaves behind, found by the next, or by another function."""

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

ATTEMPTS = [
    Attempt(
        "settings kept in a global, made live again",
        """
        kept = []
        def on_track(event, settings):
            kept.append(settings)
            if event["n"]:
                object.__setattr__(kept[0], "_is_live", True)
                return "an earlier event's " + kept[0].apiKey
        """,
        "an earlier event's of this event",
        events=2,
    ),
    Attempt(
        "settings that the next invocation gets, filled anew",
        """
        def on_track(event, settings):
            if event["n"]:
                return settings.apiKey
            type(settings).__getitem__ = lambda self, name: "forged"
        """,
        "forged",
        events=2,
    ),
    Attempt(
        "a task that goes on after its invocation",
        """
        import asyncio
        async def later():
            for _ in range(50):
                await asyncio.sleep(0.001)
                print("a line of the invocation before")
        async def on_track(event, settings):
            if event["n"]:
                await asyncio.sleep(0.02)
            else:
                group = asyncio.TaskGroup()
                await group.__aenter__()
                group.create_task(later())
                await asyncio.sleep(0.001)
        """,
        "a line of the invocation before",
        events=2,
    ),
    Attempt(
        "a task that catches its cancellation",
        """
        import asyncio
        async def later():
            while True:
                try:
                    await asyncio.sleep(0.001)
                except BaseException:
                    pass
                print("a line of the invocation before")
        async def on_track(event, settings):
            if event["n"]:
                await asyncio.sleep(0.02)
            else:
                group = asyncio.TaskGroup()
                await group.__aenter__()
                group.create_task(later())
                await asyncio.sleep(0.001)
        """,
        "a line of the invocation before",
        events=2,
    ),
    Attempt(
        "an async generator that cleans up for long",
        """
        import asyncio
        async def numbers():
            try:
                yield 1
            finally:
                for _ in range(50):
                    await asyncio.sleep(0.001)
                    print("a line of the invocation before")
        async def on_track(event, settings):
            if event["n"]:
                await asyncio.sleep(0.02)
            else:
                async for _ in numbers():
                    break
        """,
        "a line of the invocation before",
        events=2,
    ),
    Attempt(
        "a callback left with the loop",
        """
        import asyncio
        async def on_track(event, settings):
            if event["n"]:
                await asyncio.sleep(0.02)
            else:
                waiting = asyncio.sleep(0.005)
                waiting.send(None).add_done_callback(lambda _: print("a line of the invocation before"))
                globals()["kept"] = waiting
        """,
        "a line of the invocation before",
        events=2,
    ),
    Attempt(
        "the next event's text, changed by a method of str",
        """
        def on_track(event, settings):
            if event["n"]:
                return event["event"].lower()
            import ctypes, gc
            gc.get_referents(str.__dict__)[0]["lower"] = lambda self: "another lower"
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(str))
        """,
        "another lower",
        events=2,
    ),
    Attempt(
        "a library's default encoder, replaced",
        """
        import json
        def on_track(event, settings):
            if event["n"]:
                return json.dumps({"a": 1}, indent=1)
            json.JSONEncoder.iterencode = lambda self, o, **_: iter(["another encoder"])
        """,
        "another encoder",
        events=2,
    ),
    Attempt(
        "a global of one function, looked for by another",
        "import html\nhtml.left = 'left by another'\ndef attempt(): return ''",
        "left by another",
        jailed="nothing",
        witness="import html\ndef attempt(): return str(getattr(html, 'left', ''))",
    ),
    Attempt(
        "a value in the cache, looked for by another",
        "def attempt(): return cache.load('k', lambda: 'left by another') and ''",
        "left by another",
        jailed="nothing",
        witness="def attempt(): return cache.load('k', lambda: 'nothing')",
    ),
    Attempt(
        "the state of randomness, known to another",
        "import random\ndef attempt():\n    random.seed(7)\n    return ''",
        "0.32383276483316237",
        jailed="nothing",
        witness="import random\ndef attempt(): return str(random.random())",
    ),
    Attempt(
        "the precision of decimals, of another",
        "import decimal\ndef attempt():\n    decimal.getcontext().prec = 3\n    return ''",
        "^0.333$",
        jailed="nothing",
        witness="import decimal\ndef attempt(): return str(decimal.Decimal(1) / 3)",
    ),
    Attempt(
        "the default context of decimals, of another",
        "import decimal\ndef attempt():\n    decimal.DefaultContext.prec = 4\n    decimal.setcontext(decimal.DefaultContext)\n    return ''",
        "^0.3333$",
        jailed="nothing",
        witness="import decimal\ndef attempt(): return str(decimal.Decimal(1) / 3)",
    ),
    Attempt(
        "an abstract class that takes texts for mappings, for another",
        "from collections.abc import Mapping\nMapping.register(str)\ndef attempt(): return ''",
        "a mapping",
        jailed="nothing",
        witness="from collections.abc import Mapping\ndef attempt(): return 'a mapping' if isinstance('', Mapping) else ''",
    ),
    Attempt(
        "the first day of the week, of another",
        "import calendar\ndef attempt():\n    calendar.setfirstweekday(6)\n    return ''",
        "6 first",
        jailed="nothing",
        witness="import calendar\ndef attempt(): return f'{calendar.TextCalendar(calendar.firstweekday()).firstweekday} first'",
    ),
    Attempt(
        "a dialect registered, for another",
        "import csv\ncsv.register_dialect('odd', delimiter='|')\ndef attempt(): return ''",
        "odd",
        jailed="nothing",
        witness="import csv\ndef attempt(): return str(csv.list_dialects())",
    ),
    Attempt(
        "an encoding of errors registered, for another",
        "import codecs\ncodecs.register_error('odd', lambda error: ('left by another', error.end))\ndef attempt(): return ''",
        "left by another",
        jailed="nothing",
        witness="def attempt():\n    return str('\\u00e9'.encode('ascii', 'odd'))",
    ),
    Attempt(
        "an environment variable, for another",
        "import os\nos.environ['LEFT'] = 'left by another'\ndef attempt(): return ''",
        "left by another",
        jailed="nothing",
        witness="import os\ndef attempt(): return str(os.environ.get('LEFT'))",
    ),
]
