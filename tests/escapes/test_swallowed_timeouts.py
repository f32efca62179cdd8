"""Time-outs swallowed: what ends an invocation, caught and held back by the code that it ends."""

from __future__ import annotations

import textwrap

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

SPIN = "def spin():\n    while True: pass\n"

ATTEMPTS = [
    Attempt(name, SPIN + textwrap.dedent(source), "held", is_ended=True, timeout_ms=50)
    for name, source in {
        "a bare except": """
            def attempt():
                try:
                    spin()
                except: return "held"
            """,
        "except BaseException, in a loop": """
            def attempt():
                for _ in range(3):
                    try:
                        spin()
                    except BaseException: continue_with = "held"
                    if continue_with: return continue_with
            """,
        "a class of errors that is computed": """
            def attempt():
                try:
                    spin()
                except tuple([ValueError, BaseException]): return "held"
            """,
        "a return in finally": """
            def attempt():
                try:
                    spin()
                finally: return "held"
            """,
        "a break in finally": """
            def attempt():
                for _ in range(1):
                    try:
                        spin()
                    finally: break
                return "held"
            """,
        "an error raised in finally": """
            def attempt():
                try:
                    try:
                        spin()
                    finally: raise ValueError
                except ValueError: return "held"
            """,
        "an error raised in a function that finally calls": """
            def fail(): raise ValueError
            def attempt():
                try:
                    try:
                        spin()
                    finally: fail()
                except ValueError: return "held"
            """,
        "an iteration ended in finally": """
            class Items:
                def __iter__(self): return self
                def __next__(self):
                    try:
                        spin()
                    finally: raise StopIteration
            def attempt():
                for _ in Items(): pass
                return "held"
            """,
        "an __exit__ that says yes": """
            class Quiet:
                def __enter__(self): return self
                def __exit__(self, *error): return True
            def attempt():
                with Quiet():
                    spin()
                return "held"
            """,
        "a decorated __exit__": """
            def other(method): return lambda *error: True
            class Quiet:
                def __enter__(self): return self
                @other
                def __exit__(self, *error): pass
            def attempt():
                with Quiet():
                    spin()
                return "held"
            """,
        "an __exit__ that raises": """
            class Loud:
                def __enter__(self): return self
                def __exit__(self, *error): raise ValueError
            def attempt():
                try:
                    with Loud():
                        spin()
                except ValueError: return "held"
            """,
        "suppress": """
            import contextlib
            def attempt():
                with contextlib.suppress(BaseException):
                    spin()
                return "held"
            """,
        "a context manager made of a generator": """
            import contextlib
            @contextlib.contextmanager
            def quiet():
                try: yield
                except BaseException: pass
            def attempt():
                with quiet():
                    spin()
                return "held"
            """,
        "a context manager made of what is no generator": """
            import contextlib
            class Odd:
                def __next__(self): return None
                def throw(self, *error): raise StopIteration
            @contextlib.contextmanager
            def quiet(): return Odd()
            def attempt():
                with quiet():
                    spin()
                return "held"
            """,
        "an exit stack": """
            import contextlib
            def attempt():
                with contextlib.ExitStack() as stack:
                    stack.push(lambda *error: True)
                    spin()
                return "held"
            """,
        "a __getattr__ that turns it into a missing attribute": """
            class A:
                def __getattr__(self, name):
                    try:
                        spin()
                    finally: raise AttributeError
            def attempt(): return getattr(A(), "x", "held")
            """,
        "an except in a coroutine that waits": """
            import asyncio
            async def attempt():
                try: await asyncio.sleep(2)
                except BaseException: return "held"
            """,
        "a cancellation that is caught by its name": """
            import asyncio
            async def attempt():
                try: await asyncio.sleep(2)
                except asyncio.CancelledError: return "held"
            """,
        "an __aexit__ that says yes": """
            import asyncio
            class Quiet:
                async def __aenter__(self): return self
                async def __aexit__(self, *error): return True
            async def attempt():
                async with Quiet(): await asyncio.sleep(2)
                return "held"
            """,
        "an __aexit__ that is no coroutine function": """
            import asyncio
            class Yes:
                def __await__(self):
                    yield from ()
                    return True
            class Quiet:
                async def __aenter__(self): return self
                def __aexit__(self, *error): return Yes()
            async def attempt():
                async with Quiet(): await asyncio.sleep(2)
                return "held"
            """,
        "a task group whose tasks fail when they are cancelled": """
            import asyncio
            async def work():
                try: await asyncio.sleep(2)
                finally: raise ValueError
            async def attempt():
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(work())
                except (ExceptionGroup, asyncio.CancelledError): return "held"
            """,
        "gather that returns what was raised": """
            import asyncio
            async def work():
                try: await asyncio.sleep(2)
                except BaseException: return "held"
            async def attempt():
                try: return await asyncio.gather(work(), return_exceptions=True)
                except BaseException: return "held"
            """,
    }.items()
]
