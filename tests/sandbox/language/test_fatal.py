"""What ends an invocation can't be held back by the code it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.runtime.errors import DeadlineExceeded

Load = Callable[..., dict[str, Any]]
Finish = Callable[[Any], Any]

HOLDERS = {
    "a bare except": """
        def main(end):
            try:
                end()
            except:
                pass
        """,
    "except BaseException": """
        def main(end):
            try:
                end()
            except BaseException as error:
                return error
            finally:
                x = 1
        """,
    "a tuple in a variable": """
        ALL = (BaseException,)
        def main(end):
            try:
                end()
            except ALL:
                pass
        """,
    "a try in a handler": """
        def main(end):
            try:
                1 / 0
            except ZeroDivisionError:
                try:
                    end()
                except BaseException:
                    pass
        """,
    "an __exit__ that says yes": """
        class Quiet:
            def __enter__(self): return self
            def __exit__(self, *error): return True
        def main(end):
            with Quiet():
                end()
        """,
    "a static __exit__": """
        class Quiet:
            def __enter__(self): return self
            @staticmethod
            def __exit__(kind, error, traceback): return True
        def main(end):
            with Quiet():
                end()
        """,
    "an __aexit__ that says yes": """
        class Quiet:
            async def __aenter__(self): return self
            async def __aexit__(self, *error): return True
        async def main(end):
            async with Quiet():
                end()
        """,
    "suppress": """
        from contextlib import suppress
        def main(end):
            with suppress(BaseException):
                end()
        """,
    "a context manager from a generator": """
        from contextlib import contextmanager
        @contextmanager
        def quiet():
            try:
                yield
            except BaseException:
                pass
        def main(end):
            with quiet():
                end()
        """,
    "an exit stack with a callback that says yes": """
        from contextlib import ExitStack
        def main(end):
            with ExitStack() as stack:
                stack.push(lambda *error: True)
                end()
        """,
    "an exit stack of async callbacks": """
        from contextlib import AsyncExitStack
        async def main(end):
            async with AsyncExitStack() as stack:
                stack.push(lambda *error: True)
                end()
        """,
    "gather that returns exceptions": """
        import asyncio
        async def work(end):
            end()
        async def main(end):
            return await asyncio.gather(work(end), return_exceptions=True)
        """,
    "a task group": """
        import asyncio
        async def work(end):
            end()
        async def main(end):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(work(end))
            except BaseException:
                pass
        """,
    "getattr with a default": """
        class A:
            def __init__(self, end): self.end = end
            def __getattr__(self, name): self.end()
        def main(end):
            return getattr(A(end), "x", None), hasattr(A(end), "x")
        """,
    "a decorator that puts another __exit__ in its place": """
        def other(method):
            return lambda *error: True
        class Quiet:
            def __enter__(self): return self
            @other
            def __exit__(self, *error): return False
        def main(end):
            with Quiet():
                end()
        """,
    "an __exit__ that raises something else": """
        class Loud:
            def __enter__(self): return self
            def __exit__(self, *error): raise ValueError
        def main(end):
            try:
                with Loud():
                    end()
            except ValueError:
                pass
        """,
    "an __aexit__ that is no coroutine function": """
        class Yes:
            def __await__(self):
                yield from ()
                return True
        class Quiet:
            async def __aenter__(self): return self
            def __aexit__(self, *error): return Yes()
        async def main(end):
            async with Quiet():
                end()
        """,
    "a finally that raises something else": """
        def main(end):
            try:
                try:
                    end()
                finally:
                    raise ValueError
            except ValueError:
                pass
        """,
    "a finally that ends an iteration": """
        class Items:
            def __init__(self, end): self.end = end
            def __iter__(self): return self
            def __next__(self):
                try:
                    self.end()
                finally:
                    raise StopIteration
        def main(end):
            for item in Items(end):
                pass
        """,
    "a finally that says an attribute is missing": """
        class A:
            def __init__(self, end): self.end = end
            def __getattr__(self, name):
                try:
                    self.end()
                finally:
                    raise AttributeError(name)
        def main(end):
            return getattr(A(end), "x", None)
        """,
    "a context manager from what is no generator": """
        from contextlib import contextmanager
        class Generator:
            def __next__(self): return None
            def throw(self, *error): raise StopIteration
        @contextmanager
        def quiet():
            return Generator()
        def main(end):
            with quiet():
                end()
        """,
    "an exit stack with a callback that raises": """
        from contextlib import ExitStack
        def fail(*error): raise ValueError
        def main(end):
            try:
                with ExitStack() as stack:
                    stack.push(fail)
                    end()
            except ValueError:
                pass
        """,
    "a group in a task group that derives something else": """
        import asyncio
        class Group(ExceptionGroup):
            def derive(self, errors): raise ValueError
            def subgroup(self, condition): raise ValueError
        async def other(): raise Group("x", [ValueError()])
        async def work(end): end()
        async def main(end):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(other())
                    group.create_task(work(end))
            except Exception:
                pass
        """,
    "a loop that tries again": """
        def main(end):
            while True:
                try:
                    end()
                except BaseException:
                    continue
        """,
}


def end() -> None:
    raise DeadlineExceeded("over")


@pytest.mark.parametrize("name", HOLDERS)
def test_it_passes(name: str, load: Load, finish: Finish) -> None:
    with pytest.raises(DeadlineExceeded):
        finish(load(HOLDERS[name])["main"](end))


def test_finally_and_exit_methods_still_run(load: Load) -> None:
    module = load(
        """
        log = []
        class Resource:
            def __enter__(self): return self
            def __exit__(self, *error): log.append("closed")
        def main(end):
            try:
                with Resource():
                    end()
            finally:
                log.append("cleaned")
        """
    )
    with pytest.raises(DeadlineExceeded):
        module["main"](end)
    assert module["log"] == ["closed", "cleaned"]


def test_other_errors_are_held_back_as_asked(load: Load, finish: Finish) -> None:
    def fail() -> None:
        raise ValueError

    for name in (
        "a bare except",
        "an __exit__ that says yes",
        "a static __exit__",
        "an __aexit__ that says yes",
        "suppress",
    ):
        finish(load(HOLDERS[name])["main"](fail))
