from __future__ import annotations

import asyncio
import inspect
import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import modules
from sandbox.compiler import CompileRefused, Diagnostic, compile_source, execute
from sandbox.runtime import errors
from sandbox.runtime.cache import Cache
from sandbox.runtime.console import Console, print_line
from sandbox.runtime.ending import child_task

if TYPE_CHECKING:
    from collections.abc import Callable

FILENAME = "function.py"


def scope() -> dict[str, object]:
    """What a worker puts in scope, with a fetch that a test may replace."""
    names = ("EventNotSupported", "InvalidEventPayload", "ValidationError", "RetryError", "DropEvent")
    injected: dict[str, object] = {name: getattr(errors, name) for name in names}
    return {
        **injected,
        "cache": Cache(),
        "console": Console(),
        "print": print_line,
        "fetch": lambda *_args, **_options: None,
    }


@pytest.fixture(scope="session", autouse=True)
def _preloaded() -> None:
    modules.preload()


@pytest.fixture
def load() -> Callable[..., dict[str, Any]]:
    """Source → the globals of the module it makes."""

    def load_source(source: str, **injected: object) -> dict[str, Any]:
        code = compile_source(textwrap.dedent(source), FILENAME)
        return execute(code, scope={**scope(), **injected})

    return load_source


@pytest.fixture
def refused() -> Callable[[str], tuple[Diagnostic, ...]]:
    """Source → the diagnostics it is refused with."""

    def compile_refused(source: str) -> tuple[Diagnostic, ...]:
        with pytest.raises(CompileRefused) as caught:
            compile_source(textwrap.dedent(source), FILENAME)
        return caught.value.diagnostics

    return compile_refused


@pytest.fixture
def finish() -> Callable[[Any], Any]:
    """What a handler returned; of a coroutine, what it comes to on a loop like a worker's."""

    async def wait(awaitable: Any) -> Any:
        asyncio.get_running_loop().set_task_factory(child_task)  # type: ignore[arg-type]  # takes more than coroutines
        return await awaitable

    def run(result: Any) -> Any:
        return asyncio.run(wait(result)) if inspect.isawaitable(result) else result

    return run


@pytest.fixture
def same(
    load: Callable[..., dict[str, Any]], finish: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Run a source's `main` under the policy and as plain Python, and ask that both answer the same."""

    def compare(source: str) -> None:
        source = textwrap.dedent(source)
        plain = types.ModuleType("function")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "function", plain)
            exec(compile(source, "plain.py", "exec", dont_inherit=True), plain.__dict__)
            expected = finish(plain.main())
        answer = finish(load(source)["main"]())
        assert repr(answer) == repr(expected)  # objects of a class that was made twice are never equal

    return compare
