"""Syntax: names that hide in nodes, in patterns, in letters that only look otherwise, and in what is executed early."""

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
        "an attribute in a pattern of a class",
        "def attempt():\n    match (x for x in 'a'):\n        case object(gi_frame=frame): return str(frame)",
        "<frame at",
    ),
    Attempt(
        "a class in a pattern",
        "def attempt():\n    match 1:\n        case object(__class__=kind): return str(kind)",
        "<class 'int'>",
    ),
    Attempt(
        "a pattern within a pattern",
        "def attempt():\n    match [{'a': 1}]:\n        case [{'a': int(__class__=object(__base__=base))}]: return str(base)",
        "<class 'object'>",
    ),
    Attempt(
        "__builtins__ captured by a pattern",
        "def attempt():\n    match {'len': lambda x: 'other'}:\n        case __builtins__: return str(__builtins__)",
        "lambda",
    ),
    Attempt(
        "__builtins__ captured by a rest",
        "def attempt():\n    match {'len': 'other'}:\n        case {**__builtins__}: return str(__builtins__)",
        "other",
    ),
    Attempt(
        "__builtins__ by a walrus", "def attempt(): return str((__builtins__ := {'len': 'other'}))", "other"
    ),
    Attempt(
        "global __builtins__",
        "def attempt():\n    global __builtins__\n    __builtins__ = {'len': 'other'}\n    return str(__builtins__)",
        "other",
    ),
    Attempt(
        "an import as __builtins__",
        "def attempt():\n    import json as __builtins__\n    return str(__builtins__)",
        "json",
    ),
    Attempt(
        "an error as __builtins__",
        "def attempt():\n    try: 1 / 0\n    except ZeroDivisionError as __builtins__: return str(__builtins__)",
        "division",
    ),
    Attempt(
        "a loop variable that is an attribute",
        "class A: pass\nclass B:\n    x = 'other'\ndef attempt():\n    a = A()\n    for a.__class__ in [B]: pass\n    return a.x",
        "other",
    ),
    Attempt(
        "an attribute as the target of with",
        "import contextlib\nclass A: pass\nclass B:\n    x = 'other'\ndef attempt():\n    a = A()\n"
        "    with contextlib.nullcontext(B) as a.__class__: pass\n    return a.x",
        "other",
    ),
    Attempt(
        "a class assigned in a tuple",
        "class A: pass\nclass B:\n    x = 'other'\ndef attempt():\n    a = A()\n    [a.__class__, *_] = [B, 1]\n    return a.x",
        "other",
    ),
    Attempt(
        "full-width letters", "def attempt(): return str((x for x in 'a').\uff47\uff49_frame)", "<frame at"
    ),
    Attempt(
        "mathematical letters",
        "def attempt(): return str((1).__\U0001d4ec\U0001d4f5\U0001d4ea\U0001d4fc\U0001d4fc__.__base__)",
        "<class 'object'>",
    ),
    Attempt(
        "letters of a builtin", "def attempt(): return \u1d49val('open(\"@FILE@\").read()')", jailed="nothing"
    ),
    Attempt(
        "a walk within an f-string", "def attempt(): return f'{().__class__.__base__}'", "<class 'object'>"
    ),
    Attempt(
        "a walk within the specification of an f-string",
        "class A:\n    def __format__(self, spec): return spec\ndef attempt(): return f'{A():{().__class__.__base__}}'",
        "<class 'object'>",
    ),
    Attempt(
        "a walk within a default",
        "def f(x=().__class__.__base__): return x\ndef attempt(): return str(f())",
        "<class 'object'>",
    ),
    Attempt(
        "a walk within a decorator",
        "@(lambda f: f.__globals__)\ndef found(): pass\ndef attempt(): return str(found['__builtins__'])",
        "builtins|print",
    ),
    Attempt(
        "a decorator that is exec",
        "@(lambda f: exec('f.found = len.__self__'.replace('f.', 'g.'), {'g': f, 'len': len}) or f)\n"
        "def g(): pass\ndef attempt(): return str(g.found)",
        "<module 'builtins'",
    ),
    Attempt(
        "a walk within a comprehension's condition",
        "def attempt(): return str([c for c in [1] for c in [c.__class__.__base__]])",
        "<class 'object'>",
    ),
    Attempt(
        "an except* that hides what it catches (CVE-2025-22153)",
        """
        def attempt():
            try:
                raise ExceptionGroup("g", [ValueError()])
            except* ValueError as group:
                found = str(group.__traceback__)
            return found
        """,
        "<traceback",
    ),
    Attempt(
        "a walk within except*'s body alone (CVE-2025-22153)",
        """
        def attempt():
            found = []
            try:
                raise ExceptionGroup("g", [ValueError()])
            except* ValueError:
                found.append(str(().__class__.__base__))
            return found
        """,
        "<class 'object'>",
    ),
    Attempt(
        "a walk after a semicolon and a line continuation",
        "def attempt():\n    x = 1; y = x.\\\n__class__.__base__; return str(y)",
        "<class 'object'>",
    ),
    Attempt(
        "a walk in a nested function's annotation",
        "def attempt():\n    seen = []\n    def f(x: seen.append(str((1).__class__))): pass\n    return seen",
        "<class 'int'>",
    ),
    Attempt(
        "a walk in a lambda in a class body",
        "class A:\n    find = lambda self: self.__class__.__mro__\ndef attempt(): return str(A().find())",
        "<class 'object'>",
    ),
    Attempt(
        "deleting a builtin's shadow",
        "len = 1\ndel len\ndef attempt(): return str(len.__self__)",
        "<module 'builtins'",
    ),
    Attempt(
        "reading and setting at once",
        """
        class A:
            pass
        def attempt():
            a = A()
            try: a.__class__ += 1
            except TypeError as error: return str(error)
        """,
        "type' and 'int",
    ),
]
