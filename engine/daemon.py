"""The only place that builds and joins the parts: start order, drain order.

lock the data directory → registry → journal → pool → dispatcher, intake, core → recover → listen → gateway
gateway → stop listening → intake closed → drain → pool → journal → registry → unlock
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import random
import resource
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from engine import clock_mark, installed, notify
from engine.api.auth import People, peers_of
from engine.api.unix import UnixServer
from engine.config import Config, check_limits
from engine.dispatch.core import Core
from engine.dispatch.dispatcher import Dispatcher
from engine.dispatch.intake import Intake
from engine.egress.options import options_of
from engine.egress.supervise import Egress
from engine.errors import ConfigurationError, Unavailable
from engine.gateway_process import GatewayProcess
from engine.journal.sqlite import SqliteJournal
from engine.log import configure as configure_log
from engine.records.records import Records
from engine.records.retention import Bounds
from engine.registry.secrets import ENVIRONMENT_NAME, Keyring
from engine.registry.store import Registry
from engine.reloading import Running
from engine.undumpable import become_undumpable
from engine.workers import layers
from engine.workers.generations import Lifetime
from engine.workers.pool import Pool, PoolOptions
from engine.workers.zygote import Program, Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


async def serve(  # noqa: PLR0915  the order of start and stop, read top to bottom
    running: Running, *, on_ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Run until `stop` is set; `on_ready` is told where HTTP is served, "" if it isn't. Raises `EngineError` if it can't start."""
    loop = asyncio.get_running_loop()
    config = running.config
    data_dir = Path(config.data_dir)
    with lock_data_dir(data_dir), clock_mark.kept(data_dir / "clock", loop) as clock:
        keys = Keyring.load(Path(config.secret_key_file), os.environ.pop(ENVIRONMENT_NAME, ""))
        if keys.is_new:
            log.warning(
                "secret_key_made", path=config.secret_key_file, remedy="back it up, apart from the data"
            )
        registry = Registry.open(data_dir / "registry.db", clock=clock, keys=keys)
        journal = SqliteJournal.open(
            data_dir / "journal.db",
            clock=clock,
            size_max_mib=config.journal_size_max_mib or None,
            shelf_age_max_ms=config.shelf_days * 86_400_000,
            shelf_bytes_max=config.shelf_mib << 20,
            commit_wait_us=config.commit_wait_us,
            dedupe_window_s=config.dedupe_hours * 3600,
            dedupe_bytes_max=config.dedupe_disk_mib << 20,
        )
        egress = Egress(options_of(config), loop=loop)
        pool = Pool(
            _pool_options(config),
            http=egress,
            loop=loop,
            clock=clock,
        )
        egress.events = pool
        records = Records(
            data_dir / "records.db",
            bounds=Bounds(
                minute_hours=config.records_minute_hours,
                hour_days=config.records_hour_days,
                day_days=config.records_day_days,
                attempt_days=config.records_attempt_days,
                destination_mib=config.records_destination_mib,
                size_max_mib=config.records_mib,
            ),
            clock=clock,
            loop=loop,
        )
        dispatcher = Dispatcher(
            journal=journal,
            pool=pool,
            open_settings=registry.destinations.open_settings,
            used=registry.usage.add,
            egress=egress,
            clock=clock,
            rng=random.Random(),  # noqa: S311  jitter, not secrets
            loop=loop,
        )
        intake = Intake(journal=journal, dispatcher=dispatcher, clock=clock, loop=loop)
        core = Core(
            registry=registry,
            keys=keys,
            journal=journal,
            records=records,
            pool=pool,
            egress=egress,
            dispatcher=dispatcher,
            intake=intake,
            clock=clock,
            limits=lambda limits: check_limits(limits, running.config.limits),
            workspace=running.config.workspace,
            data_dir=data_dir,
        )
        dispatcher.on_version_compiled(core.version_compiled)
        dispatcher.gate.on_quarantined = core.quarantined
        people = People(registry.tokens, clock)
        server = UnixServer(core, people, Path(config.socket), config.socket_mode)
        gateway = GatewayProcess(config.http, _gateway_arguments(config)) if config.http else None
        if gateway is not None:
            core.overview.restarts["gateway"] = lambda: gateway.restarts
        flushing = loop.create_task(registry.keep_flushing())

        def apply(config: Config) -> None:
            configure_log(log_format=config.log_format, level=config.log_level)
            people.peers = peers_of(config.peers)
            pool.options = _pool_options(config)
            egress.configure(options_of(config))
            dispatcher.tune(
                frame_ms=config.frame_ms,
                memory_queue_mib=config.memory_queue_mib,
                prefetch_chunks=config.prefetch_chunks,
            )
            core.take_limits(config.limits)

        try:
            core.control.check_secrets()
            await asyncio.gather(egress.start(), pool.start())
            await pool.ready()
            for layer in layers.by_layer(pool.proofs):
                if layer["state"] != "holding":
                    log.error("jail_layer_missing", **layer)
            running.started(apply)
            await core.recover()
            _rest_collector()
            await server.start()
            if gateway is not None:
                await gateway.start()
            watchdog = loop.create_task(_watch(journal))
            sampling = loop.create_task(core.sample_file.keep_saving())
            log.info("serving", socket=config.socket, data_dir=config.data_dir, pid=os.getpid())
            on_ready(gateway.http if gateway is not None else "")
            notify.notify(notify.READY)
            await stop.wait()
            log.info("stopping")
            notify.notify(notify.STOPPING)
            if gateway is not None:
                await gateway.stop()
            await _drain(server, intake, dispatcher, running.config.drain_timeout_s)
            watchdog.cancel()
            sampling.cancel()
            await core.sample_file.save()
        finally:
            flushing.cancel()
            if gateway is not None:
                await gateway.stop()
            await pool.stop()
            await egress.stop()
            await records.close()
            await journal.close()
            registry.close()
            log.info("stopped")


def _gateway_arguments(config: Config) -> list[str]:
    return [
        *("--socket", config.socket),
        *("--requests-per-s", str(config.http_requests_per_s)),
        *("--log-format", config.log_format),
        *("--log-level", config.log_level),
        *(["--metrics-open"] if config.metrics_open else []),
    ]


def _rest_collector() -> None:
    """What is there now stays: it isn't looked through again for what nobody refers to. And what is new is looked at less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def _pool_options(config: Config) -> PoolOptions:
    return PoolOptions(
        spares=config.spares,
        workers_max=config.workers_max,
        suspend_after_s=config.suspend_after_s,
        stop_after_s=config.stop_after_s,
        program=_zygote_program(config),
        zygote=Lifetime(config.zygote_forks_max, config.zygote_age_max_h * 3600.0),
    )


async def _drain(server: UnixServer, intake: Intake, dispatcher: Dispatcher, timeout_s: float) -> None:
    """Take nothing new, let what runs end, then hang up."""
    server.stop_listening()
    await intake.close()
    await dispatcher.drain(timeout_s)
    server.close()


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
    options_of(config)
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
        program = replace(_zygote_program(config), is_degraded_allowed=True)
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


def _zygote_program(config: Config) -> Program:
    """Raises `ConfigurationError` if a library isn't installed."""
    installed.require(config.libraries)
    return Program(
        is_degraded_allowed=config.allow_degraded,
        cgroups=tuple(filter(None, config.cgroups.split(":"))),
        libraries=config.libraries,
    )


def temporary_data_dir() -> tempfile.TemporaryDirectory[str]:
    """For `engine serve --dev`."""
    return tempfile.TemporaryDirectory(prefix="engine-dev-")
