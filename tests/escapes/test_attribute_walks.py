"""Attribute walks: from any object to its class, to all classes, to a function's globals, to everything.

The classics of pyjail catalogues, and of the advisories of asteval, simpleeval and smolagents.
"""

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
        "all classes, from a tuple",
        "def attempt(): return str(().__class__.__base__.__subclasses__()[:3])",
        "<class 'type'>",
    ),
    Attempt(
        "all classes, by the method resolution order of a text",
        "def attempt(): return str(''.__class__.__mro__[1].__subclasses__()[:3])",
        "<class 'type'>",
    ),
    Attempt(
        "all classes, by mro()",
        "def attempt(): return str(int.mro()[-1].__subclasses__()[:3])",
        "<class 'type'>",
    ),
    Attempt(
        "type.__subclasses__ of object",
        "def attempt(): return str((1).__class__.__class__.__subclasses__(object)[:3])",
        "<class 'type'>",
    ),
    Attempt(
        "builtins by a function's globals",
        """
        def attempt():
            found = attempt.__globals__["__builtins__"]
            found = found if found.__class__ is dict else found.__dict__
            return found["open"]("@FILE@").read()
        """,
        jailed="nothing",
    ),
    Attempt(
        "builtins by the module of a builtin",
        "def attempt(): return len.__self__.open('@FILE@').read()",
        jailed="nothing",
    ),
    Attempt(
        "a class whose constructor holds a module: warnings.catch_warnings",
        """
        def attempt():
            found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "catch_warnings"]
            return found[0]()._module.__builtins__["open"]("@FILE@").read()
        """,
        jailed="nothing",
    ),
    Attempt(
        "the environment by the globals of os._wrap_close",
        """
        def attempt():
            found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "_wrap_close"]
            return found[0].__init__.__globals__["environ"]["CANARY"]
        """,
        jailed="nothing",
    ),
    Attempt(
        "an importer among the classes",
        """
        def attempt():
            found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "BuiltinImporter"]
            return str(found[0].load_module("posix"))
        """,
        "<module 'posix'",
    ),
    Attempt(
        "copyreg by the reduction of a number",
        "def attempt(): return str((1).__reduce_ex__(2)[0].__globals__['__name__'])",
        "copyreg",
    ),
    Attempt(
        "__getattribute__ of object",
        "def attempt(): return str(object.__getattribute__(attempt, '__globals__'))",
        "__builtins__",
    ),
    Attempt(
        "a descriptor taken from the class's dict and bound by hand",
        "def attempt(): return str(attempt.__class__.__dict__['__globals__'].__get__(attempt))",
        "__builtins__",
    ),
    Attempt("the code of a function", "def attempt(): return str(attempt.__code__)", "<code object"),
    Attempt(
        "the code of a function, replaced",
        """
        def harmless(): return "harmless"
        def attempt():
            harmless.__code__ = (lambda: "replaced").__code__
            return harmless()
        """,
        "replaced",
    ),
    Attempt(
        "defaults of a function, replaced",
        """
        def greet(name="you"): return name
        def attempt():
            greet.__defaults__ = ("replaced",)
            return greet()
        """,
        "replaced",
    ),
    Attempt(
        "a secret in a closure",
        """
        def make():
            secret = "kept in a cell"
            return lambda: len(secret)
        def attempt(): return make().__closure__[0].cell_contents
        """,
        "kept in a cell",
    ),
    Attempt(
        "what a cached function wraps",
        """
        import functools
        @functools.lru_cache
        def f(): pass
        def attempt(): return str(f.__wrapped__.__globals__["__builtins__"])
        """,
        "builtins|print",
    ),
    Attempt(
        "globals of a library's method",
        "import json\ndef attempt(): return str(json.JSONEncoder.default.__globals__['__loader__'])",
        "Loader",
    ),
    Attempt(
        "the function that a partial object holds",
        "import functools\ndef attempt(): return str(functools.partial(len).func.__self__)",
        "<module 'builtins'",
    ),
    Attempt(
        "the method's function",
        """
        class A:
            def f(self): pass
        def attempt(): return str(A().f.__func__.__globals__["__builtins__"])
        """,
        "builtins|print",
    ),
    Attempt(
        "the bases of a class, replaced",
        """
        class A: pass
        class B:
            x = "inherited"
        class C(A): pass
        def attempt():
            C.__bases__ = (B,)
            return C.x
        """,
        "inherited",
    ),
    Attempt(
        "the object that a bound method belongs to",
        "import random\ndef attempt(): return str(random.random.__self__.__class__.__mro__)",
        "class 'object'",
    ),
]
