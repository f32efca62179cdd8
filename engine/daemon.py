"""The daemon's start and end. Its parts are joined in `parts`; the processes for strangers' code are begun before those are even imported.

lock the data directory → egress, zygote, and meanwhile: parts → a spare is ready → recover → listen → gateway
gateway → stop listening → intake closed → drain → pool → egress → records → journal → registry → unlock
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from engine import clock_mark, notify
from engine.egress import options as http
from engine.egress.supervise import Egress
from engine.errors import ConfigurationError, Unavailable
from engine.reloading import Running
from engine.undumpable import become_undumpable
from engine.workers import layers
from engine.workers import options as workers
from engine.workers.pool import Pool
from engine.workers.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

    from engine.clock import Clock
    from engine.config import Config
    from engine.journal.sqlite import SqliteJournal
    from engine.parts import Parts

log = structlog.get_logger()

GC_THRESHOLDS: Final = (10_000, 20, 20)
"""Objects that were made and not freed before the youngest are looked at (700 by default: a few submits of a busy
connection), then the middle and the oldest."""


@contextlib.contextmanager
def lock_data_dir(path: Path) -> Iterator[None]:
    """Hold the data directory for one daemon. Raises `Unavailable` naming the other's pid."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {path} can't be used: {error.strerror}",
            remedy="choose another with --data-dir",
        ) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise Unavailable(
                f"another daemon, pid {pid}, uses the data directory {path}",
                remedy="stop it, or choose another --data-dir",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


async def serve(running: Running, *, on_ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run until `stop` is set; `on_ready` is told where HTTP is served, "" if it isn't. Raises `EngineError` if it can't start."""
    loop = asyncio.get_running_loop()
    config = running.config
    data_dir = Path(config.data_dir)
    with lock_data_dir(data_dir), clock_mark.kept(data_dir / "clock", loop) as clock:
        egress = Egress(http.options_of(config), loop=loop)
        pool = Pool(workers.options_of(config), http=egress, loop=loop, clock=clock)
        egress.events = pool
        async with contextlib.AsyncExitStack() as stores, _begun(egress, pool) as processes:
            parts = await _join(running, pool, egress, clock, stores)
            await asyncio.gather(*processes)
            await pool.ready()
            await _serve(running, parts, on_ready=on_ready, stop=stop)
    log.info("stopped")


@contextlib.asynccontextmanager
async def _begun(egress: Egress, pool: Pool) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Begin the processes for strangers' code: the tasks end when they are there, and they with the context."""
    loop = asyncio.get_running_loop()
    starting = [loop.create_task(egress.start()), loop.create_task(pool.start())]
    try:
        yield starting
    finally:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        await pool.stop()
        await egress.stop()


async def _join(
    running: Running, pool: Pool, egress: Egress, clock: Clock, stores: contextlib.AsyncExitStack
) -> Parts:
    def imported() -> ModuleType:
        from engine import parts  # noqa: PLC0415  half of a start: the processes are begun before it

        return parts

    # In a thread: the loop hears from the processes meanwhile.
    module = await asyncio.to_thread(imported)
    parts: Parts = module.join(running, pool=pool, egress=egress, clock=clock, stores=stores)
    return parts


async def _serve(
    running: Running, parts: Parts, *, on_ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set; then take nothing new, let what runs end, and hang up."""
    loop = asyncio.get_running_loop()
    config, gateway = running.config, parts.gateway
    for layer in layers.by_layer(parts.pool.proofs):
        if layer["state"] != "holding":
            log.error("jail_layer_missing", **layer)
    running.started(parts.apply)
    await parts.core.recover()
    _rest_collector()
    tasks: list[asyncio.Task[None]] = []
    try:
        await parts.server.start()
        if gateway is not None:
            await gateway.start()
        log.info("serving", socket=config.socket, data_dir=config.data_dir, pid=os.getpid())
        on_ready(gateway.http if gateway is not None else "")
        notify.notify(notify.READY)
        tasks += [
            loop.create_task(parts.registry.keep_flushing()),
            loop.create_task(parts.core.sample_file.keep_saving()),
            loop.create_task(_watch(parts.journal)),
        ]
        await stop.wait()
        log.info("stopping")
        notify.notify(notify.STOPPING)
        if gateway is not None:
            await gateway.stop()
        parts.server.stop_listening()
        await parts.intake.close()
        await parts.dispatcher.drain(running.config.drain_timeout_s)
        parts.server.close()
    finally:
        for task in tasks:
            task.cancel()
        if gateway is not None:
            await gateway.stop()
    await parts.core.sample_file.save()


def _rest_collector() -> None:
    """What is there now stays: it isn't looked through again for what nobody refers to. And what is new is looked at less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


async def _watch(journal: SqliteJournal) -> None:
    """Tell systemd that the daemon lives: this loop turns, and the journal's thread answers."""
    every_s = notify.watchdog_s()
    while every_s is not None:
        # No destination has this number: it costs a turn of the thread, and reads nothing.
        await journal.next_due(0)
        notify.notify(notify.WATCHDOG)
        await asyncio.sleep(every_s)


def _checked(config: Config) -> Config:
    """Raises `ConfigurationError` on what only its parts can judge."""
    from engine.api.auth import peers_of  # noqa: PLC0415  it comes with the parts, which are there by then

    http.options_of(config)
    peers_of(config.peers)
    return config


def run(config: Config, *, read: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """`engine serve`: until SIGTERM or SIGINT; a second one ends it at once. SIGHUP takes what `read` returns."""
    become_undumpable()
    # Each client, worker and destination takes descriptors: as many as the system lets, whatever it gives at first.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        running = Running(config, lambda: _checked(read()))

        def asked() -> None:
            if stop.is_set():
                os._exit(130)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked)
        loop.add_signal_handler(signal.SIGHUP, running.reload)
        await serve(running, on_ready=on_ready, stop=stop)

    uvloop.run(main())


def examine_jail(config: Config) -> list[dict[str, Any]]:
    """`engine doctor`: a map a layer, as `layers.by_layer` makes it. A zygote is started for it, and ended."""

    async def main() -> list[layers.Proof]:
        program = replace(workers.program_of(config), is_degraded_allowed=True)
        with_libraries = [replace(program, has_libraries=True)] if program.libraries else []
        proofs: list[layers.Proof] = []
        for each in (program, *with_libraries):
            zygote = Zygote(
                on_spare=lambda spare: spare.close(), on_exited=lambda *_: None, on_death=lambda: None
            )
            try:
                proofs += (await zygote.start(each)).proofs
            finally:
                await zygote.stop()
        return list(dict.fromkeys(proofs))

    return layers.by_layer(uvloop.run(main()))


def temporary_data_dir() -> tempfile.TemporaryDirectory[str]:
    """For `engine serve --dev`."""
    return tempfile.TemporaryDirectory(prefix="engine-dev-")
