"""Classes and metaclasses: what makes classes, and what a class may say of itself."""

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
        "a metaclass",
        "class M(type):\n    def __call__(cls): return 'made by a metaclass'\nclass A(metaclass=M): pass\ndef attempt(): return A()",
        "made by a metaclass",
    ),
    Attempt(
        "a function as metaclass",
        "class A(metaclass=lambda name, bases, body: body): pass\ndef attempt(): return str(A)",
        "__qualname__",
    ),
    Attempt(
        "a metaclass in a mapping",
        "class A(**{'metaclass': lambda name, bases, body: body}): pass\ndef attempt(): return str(A)",
        "__qualname__",
    ),
    Attempt(
        "a namespace of one's own",
        """
        class Space(dict):
            def __getitem__(self, key):
                return 'from the namespace' if key == "nothing" else super().__getitem__(key)
        class M(type):
            def __prepare__(name, bases): return Space()
        class A(metaclass=M):
            x = nothing
        def attempt(): return A.x
        """,
        "from the namespace",
    ),
    Attempt(
        "type with three arguments", "def attempt(): return type('X', (), {'x': 'from data'}).x", "from data"
    ),
    Attempt(
        "the type of a class",
        "class A: pass\ndef attempt(): return type(A)('X', (), {'x': 'from data'}).x",
        "from data",
    ),
    Attempt(
        "the type of a function",
        "def f(): return 'made'\ndef attempt(): return type(f)(f.__code__, {})()",
        "made",
    ),
    Attempt(
        "the type of a generator", "def attempt(): return str(type(x for x in 'a').gi_frame)", "gi_frame"
    ),
    Attempt(
        "the type of a method, bound to what it likes",
        "class A:\n    def f(self): return self\ndef attempt(): return type(A().f)(lambda self: self, 'bound to a text')()",
        "bound to a text",
    ),
    Attempt(
        "the type of a context manager, over what is no generator",
        """
        import contextlib
        @contextlib.contextmanager
        def manager(): yield
        class Once:
            def __init__(self): self.left = ["entered"]
            def __next__(self):
                if self.left: return self.left.pop()
                raise StopIteration
        def attempt():
            with type(manager())(Once, (), {}) as entered: pass
            return entered
        """,
        "entered",
    ),
    Attempt(
        "a proxy's type, over a dict of one's choice",
        "from enum import Enum\nclass E(Enum):\n    A = 1\ndef attempt(): return str(type(E.__members__)({'a proxy': 1}))",
        "a proxy",
    ),
    Attempt(
        "new_class",
        "import types\ndef attempt(): return types.new_class('X', (), {}, lambda ns: ns.update(x='from data')).x",
        "from data",
    ),
    Attempt(
        "ABCMeta", "import abc\ndef attempt(): return abc.ABCMeta('X', (), {'x': 'from data'}).x", "from data"
    ),
    Attempt(
        "an Enum's own metaclass",
        "import enum\ndef attempt(): return str(enum.EnumMeta.__prepare__('X', ()))",
        "_generate_next_value_",
    ),
    Attempt(
        "members made from data",
        "from enum import Enum\ndef attempt(): return Enum('X', {'made': 'from data'}).made.value",
        "from data",
    ),
    Attempt(
        "a class that answers for all subclasses",
        "from abc import ABC\nclass A(ABC):\n    @classmethod\n    def __subclasshook__(cls, other): return True\n"
        "def attempt(): return 'all are mine' if isinstance(1, A) else ''",
        "all are mine",
    ),
    Attempt(
        "__getattribute__",
        "class A:\n    def __getattribute__(self, name): return 'asked for ' + name\ndef attempt(): return A().x",
        "asked for",
    ),
    Attempt(
        "__setattr__ that sees what the library stores",
        "class A(Exception):\n    def __setattr__(self, name, value): raise ValueError('saw ' + name)\n"
        "def attempt():\n    try: A().x = 1\n    except ValueError as error: return str(error)",
        "saw x",
    ),
    Attempt(
        "__reduce__ that copy executes",
        "import copy\nclass A:\n    def __reduce__(self): return (str, ('executed by copy',))\ndef attempt(): return copy.copy(A())",
        "executed by copy",
    ),
    Attempt(
        "__deepcopy__ that takes the memo",
        "import copy\nclass A:\n    def __deepcopy__(self, memo): return 'took ' + type(memo).__name__\ndef attempt(): return copy.deepcopy(A())",
        "took dict",
    ),
    Attempt(
        "__del__ that runs when nobody asks",
        "ran = []\nclass A:\n    def __del__(self): ran.append('ran at the end')\ndef attempt():\n    A()\n    return ran",
        "ran at the end",
    ),
    Attempt(
        "__class__ of an object, replaced",
        "class A: pass\nclass B:\n    x = 'other'\ndef attempt():\n    a = A()\n    a.__class__ = B\n    return a.x",
        "other",
    ),
    Attempt(
        "the __class__ cell",
        "class A:\n    def f(self): return str(__class__)\ndef attempt(): return A().f()",
        "A'",
    ),
    Attempt(
        "__mro_entries__ that puts in other bases",
        "class Odd:\n    def __mro_entries__(self, bases): return (dict,)\nclass A(Odd()): pass\ndef attempt(): return str(issubclass(A, dict)) + str(A())",
        r"True\{\}",
    ),
    Attempt(
        "__set_name__ by super",
        "class D:\n    def __set_name__(self, owner, name): self.told = name\nclass E(D):\n"
        "    def f(self): super().__set_name__(None, 'any name')\ndef attempt():\n    e = E()\n    e.f()\n    return e.told",
        "any name",
    ),
    Attempt(
        "__slots__ that are computed",
        "class A:\n    __slots__ = tuple(['x' + 'y'])\ndef attempt():\n    a = A()\n    a.xy = 'computed'\n    return a.xy",
        "computed",
    ),
    Attempt(
        "__dict__ of an object",
        "class A: pass\ndef attempt():\n    a = A()\n    a.__dict__['any name'] = 'stored'\n    return str(a.__dict__)",
        "stored",
    ),
    Attempt(
        "a subclass that is told of, by a base of the library's",
        "class A:\n    def __init_subclass__(cls): told.append(cls.__qualname__ + ' told')\ntold = []\nclass B(A): pass\n"
        "def attempt(): return str(A.__subclasses__()) + str(told)",
        "class .*told",
    ),
]
