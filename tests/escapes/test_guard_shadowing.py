"""Guards and what stands behind them: put another in its place, or change what the engine itself goes by."""

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
        "a positional-only parameter called like a guard (CVE-2026-55830)",
        "def f(_getattr_, _write_, _format_, /): return '{0.__class__}'.format(1)\n"
        "def attempt(): return f(lambda *a: a, lambda a: a, lambda *a: a)",
        "<class 'int'>",
    ),
    Attempt(
        "a keyword-only parameter called like a guard",
        "def f(*, _getattr_=getattr, _format_=None): return '{0.__class__}'.format(1)\ndef attempt(): return f()",
        "<class 'int'>",
    ),
    Attempt(
        "a rest of keywords with a guard's own spelling",
        "def f(**kw): return str(kw) + '{0.__class__}'.format(1)\n"
        "def attempt(): return f(**{'<format>': 1, '<write>': 2})",
        "<class 'int'>",
    ),
    Attempt(
        "a global called like a guard",
        "_getattr_ = _write_ = _format_ = lambda *a: a[0]\ndef attempt(): return '{0.__class__}'.format(1)",
        "<class 'int'>",
    ),
    Attempt(
        "a comprehension's variable called like a guard",
        "def attempt(): return ['{0.__class__}'.format(_format_) for _format_ in [1]]",
        "<class 'int'>",
    ),
    Attempt(
        "an import called like a guard",
        "import json as _format_\ndef attempt(): return '{0.__class__}'.format(1)",
        "<class 'int'>",
    ),
    Attempt(
        "a class's variable called like a guard",
        "class A:\n    _format_ = None\n    x = '{0.__class__}'.format(1)\ndef attempt(): return A.x",
        "<class 'int'>",
    ),
    Attempt(
        "another getattr",
        "getattr = lambda value, name: value.__class__.__base__\ndef attempt(): return str(getattr(1, 'x'))",
        "<class 'object'>",
    ),
    Attempt(
        "another super",
        "super = lambda *a: 'other super'\nclass A:\n    def f(self): return super()\ndef attempt(): return A().f()",
        "other super",
    ),
    Attempt(
        "another __import__",
        "def __import__(*args): return 'other import'\ndef attempt(): return __import__('x')",
        "other import",
    ),
    Attempt(
        "another __build_class__, by its own name",
        "def attempt(): return str(__build_class__(lambda: None, 'X', metaclass=lambda *a, **k: ('a metaclass', a)))",
        "a metaclass",
    ),
    Attempt(
        "another attribute of a module",
        "import html\ndef attempt():\n    html.escape = lambda x: 'other escape'\n    return html.escape(1)",
        "other escape",
    ),
    Attempt(
        "an attribute of a module deleted",
        "import html\ndef attempt():\n    del html.escape\n    return 'deleted' if not hasattr(html, 'escape') else ''",
        "deleted",
    ),
    Attempt(
        "a module made anew",
        "import json\ndef attempt():\n    json.__init__('json', 'made anew')\n    return json.__doc__",
        "made anew",
    ),
    Attempt(
        "another method of a library's class",
        "import decimal, fractions\ndef attempt():\n    fractions.Fraction.limit_denominator = lambda *a: 'other'\n"
        "    return fractions.Fraction(1).limit_denominator()",
        "other",
    ),
    Attempt(
        "an attribute of the console",
        "def attempt():\n    type(console).log = lambda *a: 'other log'\n    return console.log()",
        "other log",
    ),
    Attempt(
        "a method of the cache's class",
        "def attempt():\n    type(cache).load = lambda *a: 'other load'\n    return cache.load('k', lambda: 1)",
        "other load",
    ),
    Attempt(
        "an error's code",
        "def attempt():\n    RetryError.code = 'delivered'\n    return RetryError.code",
        "delivered",
    ),
    Attempt(
        "an attribute written by way of an alias of typing",
        """
        import typing
        Alias = type(typing.List[int])
        def attempt():
            Alias(type(cache), (int,)).load = lambda *a: "other load"
            return cache.load("k", lambda: 1)
        """,
        "other load",
    ),
    Attempt(
        "settings filled anew",
        "def on_track(event, settings):\n    settings.__init__({'apiKey': 'forged'})\n    return settings.apiKey",
        "forged",
    ),
    Attempt(
        "settings filled anew, by their class",
        "def on_track(event, settings):\n    type(settings).__init__(settings, {'apiKey': 'forged'})\n    return settings.apiKey",
        "forged",
    ),
    Attempt(
        "the values of settings",
        "def on_track(event, settings):\n    settings._values['apiKey'] = 'forged'\n    return settings.apiKey",
        "forged",
    ),
    Attempt(
        "a setting set past its guard",
        "def on_track(event, settings):\n    object.__setattr__(settings, '_values', {'apiKey': 'forged'})\n    return settings.apiKey",
        "forged",
    ),
    Attempt(
        "a constant of a library filled anew",
        "import uuid\ndef attempt():\n    uuid.NAMESPACE_DNS.__init__(int=5)\n    return str(uuid.NAMESPACE_DNS)",
        "000005",
    ),
    Attempt(
        "a constant of a library filled anew, by a pattern",
        "import uuid\ndef attempt():\n    match uuid.NAMESPACE_URL:\n        case object(__init__=fill): fill(int=6)\n    return str(uuid.NAMESPACE_URL)",
        "000006",
    ),
    Attempt(
        "the dict behind a proxy, by a comparison",
        """
        from http import HTTPStatus
        class Taker:
            def __eq__(self, other):
                other["FORGED"] = HTTPStatus.OK
                return True
        def attempt():
            HTTPStatus.__members__ == Taker()
            return "forged" if "FORGED" in HTTPStatus.__members__ else ""
        """,
        "forged",
    ),
    Attempt(
        "the dict behind a module, by deepcopy's memo",
        """
        import copy, json
        class Taker:
            def __getattr__(self, name):
                if name == "__deepcopy__":
                    return lambda memo: memo
                raise AttributeError(name)
        class Box: pass
        def attempt():
            box = Box()
            box.dumps = "kept"
            memo = copy.deepcopy([box, Taker()])[1]
            for kept in list(memo.values()):
                if isinstance(kept, list):
                    for x in kept:
                        if isinstance(x, dict) and "dumps" in x:
                            x["dumps"] = "forged"
            return box.dumps
        """,
        "forged",
    ),
    Attempt(
        "a class that says it is an integer",
        "class A:\n    __class__ = int\ndef attempt(): return 'believed' if isinstance(A(), int) else ''",
        "believed",
    ),
]
