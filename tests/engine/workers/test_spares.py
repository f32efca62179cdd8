"""Two kinds of spares in one pool: each kind's zygote is started, replaced and left by its workers for itself. Real processes."""

from __future__ import annotations

import asyncio
import os
import select
import time
from typing import TYPE_CHECKING, Any

import psutil

from engine.clock import SystemClock
from engine.workers.generations import Lifetime
from engine.workers.pool import Pool, PoolOptions
from engine.workers.zygote import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workers.zygote import SpareFds

LIBRARIES = ("pydash",)


class NoHttp:
    """Workers that fetch nothing need nobody who performs it."""

    def is_ready_for(self, _destination: int | None) -> bool:
        return True

    def bind(self, _worker_id: int, fds: tuple[int, int], _access: Any) -> None:
        for fd in fds:
            os.close(fd)

    def unbound(self, worker_id: int) -> None:
        """Nothing is kept of it."""


async def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return answer


def test_spares_that_end_before_anybody_heard_that_they_were_ready_are_made_good() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        options = PoolOptions(spares=3, program=Program(is_degraded_allowed=True))
        pool: Any = Pool(options, http=NoHttp(), loop=loop, clock=SystemClock())
        take, unheard = pool.spare_forked, []

        def take_unheard(fds: SpareFds) -> None:
            take(fds)
            loop.remove_reader(fds.read_fd)
            unheard.append(fds)

        pool.spare_forked = take_unheard
        await pool.start()
        try:
            await until(lambda: len(unheard) == 3)
            for fds in unheard:
                assert select.select([fds.read_fd], [], [], 30)[0], "it never became ready"
            pool.spare_forked = take
            psutil.Process(unheard[0].pid).parent().kill()
            await until(lambda: len(pool.describe()) == 3 and pool.spares_ready(()) == 3)
            assert {row["id"] for row in pool.describe()}.isdisjoint(fds.id for fds in unheard)
        finally:
            await pool.stop()

    asyncio.run(main())


def test_a_worn_zygote_with_libraries_is_replaced_and_the_plain_one_is_not() -> None:
    async def main() -> None:
        options = PoolOptions(
            spares=1,
            program=Program(libraries=LIBRARIES, is_degraded_allowed=True),
            zygote=Lifetime(forks_max=2),
        )
        pool = Pool(options, http=NoHttp(), loop=asyncio.get_running_loop(), clock=SystemClock())

        def of_libraries() -> list[dict[str, Any]]:
            return [row for row in pool.zygotes() if row["libraries"]]

        await pool.start()
        try:
            await pool.ready()
            assert not of_libraries()
            plain = [row["id"] for row in pool.describe()]
            first = await pool.next_spare(LIBRARIES)
            assert [first.id] != plain
            first.kill("stopped", "used")
            # The spare that follows it is the second fork of two: a successor is started, and that spare moves off.
            await until(lambda: pool.zygotes_replaced)
            await until(lambda: [row["retiring"] for row in of_libraries()] == [False])
            second = await pool.next_spare(LIBRARIES)
            assert second.id not in plain
            assert second.policy_key == first.policy_key
            assert {*plain} <= {row["id"] for row in pool.describe()}
            assert [row["forks"] for row in pool.zygotes() if not row["libraries"]] == [1]
        finally:
            await pool.stop()

    asyncio.run(main())
