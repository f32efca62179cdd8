"""What ends an invocation can't be held back by the code it ends."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.runtime.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

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
def test_it_passes(name: str, load: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(DeadlineExceeded):
        _answer(load(HOLDERS[name])["main"](end))


def _answer(result: Any) -> Any:
    return asyncio.run(_finish(result)) if inspect.isawaitable(result) else result


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def test_finally_and_exit_methods_still_run(load: Callable[..., dict[str, Any]]) -> None:
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


def test_other_errors_are_held_back_as_asked(load: Callable[..., dict[str, Any]]) -> None:
    def fail() -> None:
        raise ValueError

    for name in (
        "a bare except",
        "an __exit__ that says yes",
        "a static __exit__",
        "an __aexit__ that says yes",
        "suppress",
    ):
        _answer(load(HOLDERS[name])["main"](fail))
