"""Name lookups from data: whoever reads a name from a value reads one that no compiler has judged."""

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
        "getattr of a computed name",
        "def attempt(): return str(getattr(1, '__cl' + 'ass__'))",
        "<class 'int'>",
    ),
    Attempt(
        "getattr under another name",
        "read = getattr\ndef attempt(): return str(read(1, '__class__'))",
        "<class 'int'>",
    ),
    Attempt(
        "getattr of starred arguments",
        "def attempt(): return str(getattr(*[1, '__class__']))",
        "<class 'int'>",
    ),
    Attempt(
        "attrgetter",
        "from operator import attrgetter\ndef attempt(): return str(attrgetter('gi_frame.f_back')(x for x in 'a')) + 'walked'",
        "walked",
    ),
    Attempt(
        "methodcaller",
        "from operator import methodcaller\ndef attempt(): return str(methodcaller('__reduce_ex__', 2)(1))",
        "__newobj__",
    ),
    Attempt("vars", "import json\ndef attempt(): return str(vars(json)['codecs'])", "<module 'codecs'"),
    Attempt("globals", "def attempt(): return str(globals()['__builtins__'])", "builtins|print"),
    Attempt(
        "locals of a module",
        "here = locals()\ndef attempt(): return str(here['__builtins__'])",
        "builtins|print",
    ),
    Attempt("dir", "import json\ndef attempt(): return str(dir(json))", "__loader__"),
    Attempt(
        "setattr of a computed name",
        "class A: pass\nclass B:\n    x = 'other'\ndef attempt():\n    a = A()\n    "
        "setattr(a, '__cla' + 'ss__', B)\n    return a.x",
        "other",
    ),
    Attempt(
        "object.__setattr__ of a computed name",
        "class A: pass\nclass B:\n    x = 'other'\nname = '__class__'\ndef attempt():\n    a = A()\n    "
        "object.__setattr__(a, name, B)\n    return a.x",
        "other",
    ),
    Attempt(
        "annotations that are evaluated",
        """
        import typing
        class A:
            x: "str(len.__self__.open('@FILE@').read) and len.__self__.open('@FILE@').read()"
        def attempt():
            try: return typing.get_type_hints(A)["x"]
            except SyntaxError as error: return str(error)
            except TypeError as error: return str(error)
        """,
        jailed="nothing",
    ),
    Attempt(
        "annotations that are executed",
        """
        seen = []
        def f(x: seen.append("ran")): pass
        def attempt(): return seen
        """,
        "ran",
    ),
    Attempt(
        "singledispatch that evaluates annotations",
        """
        import functools
        seen = []
        @functools.singledispatch
        def f(x): pass
        def g(x): pass
        g.__annotations__ = {"x": "seen.append('ran') or int"}
        def attempt():
            f.register(g)
            return seen
        """,
        "ran",
    ),
    Attempt(
        "make_dataclass, with the name of a frame",
        """
        from abc import ABC
        from dataclasses import make_dataclass
        A = make_dataclass("A", ["gi_frame"], bases=(ABC,))
        A.register(type(x for x in "a"))
        def attempt():
            match (x for x in "a"):
                case A(frame): return str(frame)
        """,
        "<frame at",
    ),
    Attempt(
        "a field that is source, in a subclass of dataclasses.Field",
        """
        from dataclasses import MISSING, dataclass, field
        seen = []
        class Source(type(field())):
            def __init__(self):
                super().__init__(MISSING, MISSING, True, True, None, True, None, False)
            name = property(lambda self: "x:seen.append('ran')=1,y", lambda self, value: None)
        def attempt():
            try:
                @dataclass
                class A:
                    x: int = Source()
            except SyntaxError as error:  # the library compiled it
                return error.text
        """,
        "seen.append",
    ),
    Attempt(
        "update_wrapper that copies what it is told to",
        """
        import functools
        class Box: pass
        def attempt():
            box = functools.update_wrapper(Box(), attempt, assigned=["__globals__"], updated=())
            return str(box.__globals__["__builtins__"])
        """,
        "builtins|print",
    ),
    Attempt(
        "__match_args__ that are computed",
        """
        from abc import ABC
        class A(ABC):
            __match_args__ = ("gi_" + "frame",)
        A.register(type(x for x in "a"))
        def attempt():
            match (x for x in "a"):
                case A(frame): return str(frame)
        """,
        "<frame at",
    ),
    Attempt(
        "a named tuple of a frame's name, registered for generators",
        """
        from abc import ABC
        from collections import namedtuple
        class A(namedtuple("N", ["gi_frame"]), ABC): pass
        A.register(type(x for x in "a"))
        def attempt():
            match (x for x in "a"):
                case A(frame): return str(frame)
        """,
        "<frame at",
    ),
    Attempt(
        "a NamedTuple made from data",
        """
        from abc import ABC
        from typing import NamedTuple
        class A(NamedTuple("N", [("gi_frame", int)]), ABC): pass
        A.register(type(x for x in "a"))
        def attempt():
            match (x for x in "a"):
                case A(frame): return str(frame)
        """,
        "<frame at",
    ),
    Attempt(
        "a __getattr__ that answers deepcopy, and is handed its memo",
        """
        import copy, json
        class Taker:
            def __getattr__(self, name):
                if name == "__deepcopy__":
                    return lambda memo: memo
                raise AttributeError(name)
        class Holder:
            def __init__(self): self.secret = "kept inside"
        def attempt():
            memo = copy.deepcopy([Holder(), Taker()])[1]
            return [dict(x) for kept in memo.values() if isinstance(kept, list) for x in kept if isinstance(x, dict)]
        """,
        "kept inside",
    ),
    Attempt(
        "a __getattr__ that answers copy, and is handed the dict of a queue, with its loop",
        """
        import asyncio, copy
        taken = []
        class Q(asyncio.Queue):
            def __getattr__(self, name):
                if name == "__setstate__":
                    return taken.append
                raise AttributeError(name)
        async def attempt():
            queue = Q()
            try:
                async with asyncio.timeout(0.01):
                    await queue.get()
            except TimeoutError:
                pass
            copy.copy(queue)
            return taken
        """,
        "Loop running",
    ),
    Attempt(
        "a __getattr__ that answers asyncio, and is handed the callback of a task",
        """
        import asyncio
        taken = []
        class Future:
            def __init__(self, future): self.future = future
            def __getattr__(self, name):
                if name == "_asyncio_future_blocking":
                    return True
                return getattr(self.future, "get_loop") if name == "get_loop" else None
            def add_done_callback(self, callback, context=None):
                taken.append(str(callback))
                self.future.add_done_callback(lambda done: callback(self))
            def result(self): return None
        class Wait:
            def __await__(self):
                waiting = asyncio.sleep(0.001)
                yield Future(waiting.send(None))
        async def attempt():
            await Wait()
            return taken
        """,
        "akeup",
    ),
    Attempt(
        "pickle",
        """
        import pickle
        def attempt(): return str(pickle.loads(b"cposix\\ngetpid\\n."))
        """,
        "built-in function getpid",
    ),
    Attempt(
        "marshal",
        "import marshal\ndef attempt(): return str(marshal.loads(marshal.dumps(compile('1', 'x', 'eval'))))",
        "<code object",
    ),
    Attempt("eval", "def attempt(): return eval('open(\"@FILE@\").read()')", jailed="nothing"),
    Attempt(
        "exec under another name",
        "run = exec\nfound = {}\ndef attempt():\n    run('x = open(\"@FILE@\").read()', found)\n    return found['x']",
        jailed="nothing",
    ),
    Attempt(
        "compile",
        "def attempt(): return str(compile('1', 'x', 'eval'))",
        "<code object",
    ),
    Attempt("__import__", "def attempt(): return str(__import__('o' + 's'))", "<module 'os'"),
    Attempt(
        "importlib",
        "import importlib\ndef attempt(): return str(importlib.import_module('os'))",
        "<module 'os'",
    ),
    Attempt(
        "a forward reference that is evaluated",
        "import typing\ndef attempt(): return str(typing.ForwardRef('len.__self__')._evaluate({}, {}, recursive_guard=frozenset()))",
        "<module 'builtins'|int|type",
    ),
    Attempt(
        "timeit",
        "import timeit\ndef attempt(): return str(timeit.timeit('print()', number=1) >= 0) + 'timed'",
        "timed",
        jailed="nothing",
    ),
    Attempt(
        "an interpreter in the library",
        """
        import code
        def attempt():
            found = {}
            code.InteractiveInterpreter(found).runsource("x = len.__self__")
            return str(found["x"])
        """,
        "<module 'builtins'",
        jailed="nothing",
    ),
]
