"""Inspection: from running code to its frame, and to the frames and globals of those who run it."""

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
        "the frame of a generator, walked back (CVE-2023-37271)",
        """
        def attempt():
            g = (g.gi_frame.f_back.f_back for _ in [1])
            return str([x for x in g][0])
        """,
        "<frame at",
    ),
    Attempt(
        "builtins by the frame of a generator (CVE-2023-37271)",
        """
        def attempt():
            g = (g.gi_frame.f_back.f_builtins for _ in [1])
            return [x for x in g][0]["open"]("@FILE@").read()
        """,
        jailed="nothing",
    ),
    Attempt(
        "the frame of a coroutine",
        """
        async def f(): pass
        def attempt():
            c = f()
            found = str(c.cr_frame)
            c.close()
            return found
        """,
        "<frame at",
    ),
    Attempt(
        "the code of a coroutine",
        """
        async def f(): pass
        def attempt():
            c = f()
            found = str(c.cr_code)
            c.close()
            return found
        """,
        "<code object",
    ),
    Attempt(
        "what a coroutine waits for",
        """
        import asyncio
        async def inner(): await asyncio.sleep(0)
        async def f(): await inner()
        def attempt():
            c = f()
            c.send(None)
            found = str(c.cr_await.cr_frame.f_globals["__builtins__"])
            c.close()
            return found
        """,
        "builtins|print",
    ),
    Attempt(
        "the frame of an async generator",
        "async def f(): yield\ndef attempt(): return str(f().ag_frame)",
        "<frame at",
    ),
    Attempt(
        "what a generator delegates to",
        """
        def inner(): yield 1
        def outer(): yield from inner()
        def attempt():
            g = outer()
            next(g)
            return str(g.gi_yieldfrom.gi_frame)
        """,
        "<frame at",
    ),
    Attempt("the code of a generator", "def attempt(): return str((x for x in 'a').gi_code)", "<code object"),
    Attempt(
        "the frame of a traceback",
        """
        def attempt():
            try: 1 / 0
            except ZeroDivisionError as error: return str(error.__traceback__.tb_frame.f_back)
        """,
        "<frame at",
    ),
    Attempt(
        "a traceback that is handed to __exit__",
        """
        class A:
            def __enter__(self): return self
            def __exit__(self, kind, error, traceback):
                self.found = str(traceback.tb_frame)
                return True
        def attempt():
            with A() as a: 1 / 0
            return a.found
        """,
        "<frame at",
    ),
    Attempt(
        "a traceback that is handed to an exit stack's callback",
        """
        import contextlib
        found = []
        def look(kind, error, traceback):
            found.append(str(traceback.tb_frame))
            return True
        def attempt():
            with contextlib.ExitStack() as stack:
                stack.push(look)
                1 / 0
            return found
        """,
        "<frame at",
    ),
    Attempt(
        "a traceback, by a pattern",
        """
        def attempt():
            try: 1 / 0
            except ZeroDivisionError as error:
                match error:
                    case Exception(__traceback__=found): return str(found)
        """,
        "<traceback object",
    ),
    Attempt(
        "a traceback, by the cause of an error",
        """
        def attempt():
            try:
                try: 1 / 0
                except ZeroDivisionError as error: raise ValueError from error
            except ValueError as error: return str(error.__cause__.__traceback__)
        """,
        "<traceback object",
    ),
    Attempt(
        "the object that has no such attribute (CVE-2024-47532)",
        """
        import re
        def attempt():
            try: re.nothing_like_it
            except AttributeError as error: return str(error.obj)
        """,
        "<module 're'",
    ),
    Attempt(
        "the frame of the caller", "import sys\ndef attempt(): return str(sys._getframe(1))", "<frame at"
    ),
    Attempt(
        "the stack by inspect",
        "import inspect\ndef attempt(): return str(inspect.currentframe().f_back)",
        "<frame at",
    ),
    Attempt(
        "the stack by traceback",
        "import traceback\ndef attempt(): return str(next(traceback.walk_stack(None))[0])",
        "<frame at",
    ),
    Attempt(
        "the stack by logging",
        "import logging\ndef attempt(): return str(logging.currentframe())",
        "<frame at",
    ),
    Attempt(
        "every object by gc",
        """
        import gc
        def attempt(): return str([x for x in gc.get_objects() if getattr(x, "__name__", "") == "builtins"][:1])
        """,
        "<module 'builtins'",
        jailed="nothing",
    ),
    Attempt(
        "the loop, by the future that a coroutine yields",
        """
        import asyncio
        async def attempt():
            waiting = asyncio.Event().wait()
            loop = waiting.send(None).get_loop()
            waiting.close()
            return str(loop)
        """,
        "Loop running",
    ),
    Attempt(
        "a task's coroutine and its frame",
        """
        import asyncio
        async def child(): await asyncio.sleep(0)
        async def attempt():
            async with asyncio.TaskGroup() as group:
                task = group.create_task(child())
                return str(task.get_coro().cr_frame)
        """,
        "<frame at",
    ),
    Attempt(
        "a task's stack",
        """
        import asyncio
        async def child(): await asyncio.sleep(0)
        async def attempt():
            async with asyncio.TaskGroup() as group:
                task = group.create_task(child())
                await asyncio.sleep(0)
                return str(task.get_stack())
        """,
        "<frame at",
    ),
    Attempt(
        "a callback that the loop calls, outside any invocation",
        """
        import asyncio
        called = []
        async def attempt():
            waiting = asyncio.sleep(0.01)
            future = waiting.send(None)
            future.add_done_callback(lambda done: called.append(str(done)))
            await asyncio.sleep(0.02)
            return called
        """,
        "Future",
    ),
    Attempt(
        "the generator behind a context manager",
        """
        import contextlib
        @contextlib.contextmanager
        def manager(): yield
        def attempt(): return str(manager().gen.gi_frame)
        """,
        "<frame at",
    ),
    Attempt(
        "all tasks of the loop",
        "import asyncio\nasync def attempt(): return str(asyncio.all_tasks())",
        "<Task",
    ),
]
