"""The parts that the daemon's own process consists of, opened and joined. Most of what it imports comes with this module.

registry → journal → records → dispatcher, intake, core → server, gateway
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from engine.api.auth import People, peers_of
from engine.api.unix import UnixServer
from engine.config import check_limits
from engine.dispatch.core import Core
from engine.dispatch.dispatcher import Dispatcher
from engine.dispatch.intake import Intake
from engine.egress import options as http
from engine.gateway_process import GatewayProcess
from engine.journal.sqlite import SqliteJournal
from engine.log import configure as configure_log
from engine.records.records import Records
from engine.records.retention import Bounds
from engine.registry.secrets import ENVIRONMENT_NAME, Keyring
from engine.registry.store import Registry
from engine.workers import options as workers

if TYPE_CHECKING:
    import contextlib

    from engine.clock import Clock
    from engine.config import Config
    from engine.egress.supervise import Egress
    from engine.reloading import Running
    from engine.workers.pool import Pool

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """All that are begun, tuned and ended."""

    pool: Pool
    egress: Egress
    registry: Registry
    journal: SqliteJournal
    dispatcher: Dispatcher
    intake: Intake
    core: Core
    people: People
    server: UnixServer
    gateway: GatewayProcess | None

    def apply(self, config: Config) -> None:
        """Take what may change while the daemon runs. Raises `ConfigurationError` on users who aren't there."""
        configure_log(log_format=config.log_format, level=config.log_level)
        self.people.peers = peers_of(config.peers)
        self.pool.options = workers.options_of(config)
        self.egress.configure(http.options_of(config))
        self.dispatcher.tune(
            frame_ms=config.frame_ms,
            memory_queue_mib=config.memory_queue_mib,
            prefetch_chunks=config.prefetch_chunks,
        )
        self.core.take_limits(config.limits)


def join(
    running: Running, *, pool: Pool, egress: Egress, clock: Clock, stores: contextlib.AsyncExitStack
) -> Parts:
    """Open what is stored, which `stores` closes, and join all parts. Raises `EngineError` if it can't be opened."""
    loop = asyncio.get_running_loop()
    config = running.config
    data_dir = Path(config.data_dir)
    keys = _open_keys(config)
    registry = Registry.open(data_dir / "registry.db", clock=clock, keys=keys)
    stores.callback(registry.close)
    journal = _open_journal(config, clock)
    stores.push_async_callback(journal.close)
    records = _open_records(config, clock, loop)
    stores.push_async_callback(records.close)
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
    core.control.check_secrets()
    return Parts(pool, egress, registry, journal, dispatcher, intake, core, people, server, gateway)


def _open_keys(config: Config) -> Keyring:
    keys = Keyring.load(Path(config.secret_key_file), os.environ.pop(ENVIRONMENT_NAME, ""))
    if keys.is_new:
        log.warning("secret_key_made", path=config.secret_key_file, remedy="back it up, apart from the data")
    return keys


def _open_journal(config: Config, clock: Clock) -> SqliteJournal:
    return SqliteJournal.open(
        Path(config.data_dir) / "journal.db",
        clock=clock,
        size_max_mib=config.journal_size_max_mib or None,
        shelf_age_max_ms=config.shelf_days * 86_400_000,
        shelf_bytes_max=config.shelf_mib << 20,
        commit_wait_us=config.commit_wait_us,
        dedupe_window_s=config.dedupe_hours * 3600,
        dedupe_bytes_max=config.dedupe_disk_mib << 20,
    )


def _open_records(config: Config, clock: Clock, loop: asyncio.AbstractEventLoop) -> Records:
    bounds = Bounds(
        minute_hours=config.records_minute_hours,
        hour_days=config.records_hour_days,
        day_days=config.records_day_days,
        attempt_days=config.records_attempt_days,
        destination_mib=config.records_destination_mib,
        size_max_mib=config.records_mib,
    )
    return Records(Path(config.data_dir) / "records.db", bounds=bounds, clock=clock, loop=loop)


def _gateway_arguments(config: Config) -> list[str]:
    return [
        *("--socket", config.socket),
        *("--requests-per-s", str(config.http_requests_per_s)),
        *("--log-format", config.log_format),
        *("--log-level", config.log_level),
        *(["--metrics-open"] if config.metrics_open else []),
    ]
