"""Modules that behave otherwise here than in the library."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import modules
from sandbox.facades.bounded import DECOMPRESSED_BYTES_MAX
from sandbox.runtime.context import CURRENT, Invocation

Load = Callable[..., dict[str, Any]]
Finish = Callable[[Any], Any]


@pytest.fixture
def invocation() -> Iterator[Invocation]:
    running = Invocation(is_async=True, console_bytes=32_768)
    token = CURRENT.set(running)
    yield running
    CURRENT.reset(token)


@pytest.mark.parametrize("module", ["zlib", "gzip"])
def test_decompressing_stops(module: str, load: Load) -> None:
    bomb = {"zlib": zlib, "gzip": gzip}[module].compress(bytes(DECOMPRESSED_BYTES_MAX + 1))  # type: ignore[attr-defined]
    decompress = load(f"import {module}\ndef main(data): return {module}.decompress(data)")["main"]
    with pytest.raises(ValueError, match="larger than 16777216 bytes"):
        decompress(bomb)


def test_decompressing_up_to_the_limit_works_in_parts_too(load: Load) -> None:
    decompress = load("import gzip\ndef main(data): return gzip.decompress(data)")["main"]
    assert decompress(gzip.compress(b"ab") + gzip.compress(b"cd")) == b"abcd"
    assert len(decompress(gzip.compress(bytes(DECOMPRESSED_BYTES_MAX)))) == DECOMPRESSED_BYTES_MAX


def test_truncated_data_is_an_error(load: Load) -> None:
    decompress = load("import zlib\ndef main(data): return zlib.decompress(data)")["main"]
    with pytest.raises(zlib.error):
        decompress(zlib.compress(b"abc")[:-3])


def test_logging_goes_to_the_console(load: Load, invocation: Invocation) -> None:
    module = load(
        """
        import logging
        logger = logging.getLogger(__name__)
        logger.setLevel(logging.DEBUG)
        def main():
            logger.debug("d %s", 1)
            logger.warning("w %(a)s", {"a": 2})
            logging.info("100%")
            logger.error("bad %d", "x")
            try:
                1 / 0
            except ZeroDivisionError:
                logger.exception("failed")
        """
    )
    module["main"]()
    lines = [(line["level"], line["message"]) for line in invocation.logs]
    assert lines[:4] == [("debug", "d 1"), ("warn", "w 2"), ("info", "100%"), ("error", "bad %d ('x',)")]
    assert lines[4] == ("error", "failed")
    assert lines[-1] == ("error", "ZeroDivisionError: division by zero")


def test_a_traceback_has_the_authors_lines_only(load: Load) -> None:
    module = load(
        """
        import traceback, json
        def _parse(text):
            return json.loads(text)
        def main():
            try:
                _parse("{")
            except ValueError:
                return traceback.format_exc()
        """
    )
    assert module["main"]().splitlines()[:-1] == [
        "Traceback (most recent call last):",
        '  File "function.py", line 7, in main',
        '  File "function.py", line 4, in _parse',
    ]


def test_no_error_no_traceback(load: Load) -> None:
    assert load("import traceback\nx = traceback.format_exc()")["x"] == "NoneType: None\n"


def test_gather_cancels_the_others_when_one_fails(load: Load, finish: Finish) -> None:
    module = load(
        """
        import asyncio
        log = []
        async def slow():
            try:
                await asyncio.sleep(60)
            finally:
                log.append("cancelled")
        async def bad():
            await asyncio.sleep(0)
            raise ValueError("bad")
        async def main():
            try:
                await asyncio.gather(slow(), bad())
            except ValueError:
                await asyncio.sleep(0)
                return log
        """
    )
    assert finish(module["main"]()) == ["cancelled"]


def test_a_task_of_a_group_can_be_awaited_asked_and_cancelled(load: Load, finish: Finish) -> None:
    module = load(
        """
        import asyncio
        async def work():
            await asyncio.sleep(0)
            return 3
        async def main():
            async with asyncio.TaskGroup() as group:
                first = group.create_task(work())
                second = group.create_task(asyncio.sleep(60))
                third = await first
                second.cancel()
            return third, first.result(), second.done()
        """
    )
    assert finish(module["main"]()) == (3, 3, True)


def test_tasks_belong_to_the_invocation_that_started_them(
    load: Load, invocation: Invocation, finish: Finish
) -> None:
    module = load(
        """
        import asyncio
        async def main(look):
            async def child():
                look()
            await asyncio.gather(child())
        """
    )
    seen: list[int] = []
    finish(module["main"](lambda: seen.append(len(invocation.children))))
    assert seen == [1]
    assert not invocation.children


def test_single_dispatch_asks_for_the_class(load: Load) -> None:
    with pytest.raises(TypeError, match=r"@f\.register\(int\)"):
        load(
            """
            import functools
            @functools.singledispatch
            def show(x): return "object"
            @show.register
            def _(x: int): return "int"
            """
        )


def test_zones_are_known_by_name(load: Load) -> None:
    module = load(
        "import zoneinfo\nnames = zoneinfo.available_timezones()\ntokyo = zoneinfo.ZoneInfo('Asia/Tokyo')"
    )
    assert "Asia/Tokyo" in module["names"]
    assert str(module["tokyo"]) == "Asia/Tokyo"


def test_randomness_differs_after_reseeding(load: Load) -> None:
    module = load("import random\nrandom.seed(1)\ndef main(): return random.random()")
    first = module["main"]()
    modules.reseed()
    assert module["main"]() != first
