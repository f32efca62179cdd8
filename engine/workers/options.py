"""What the operator decides about processes, from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import installed
from engine.workers.generations import Lifetime
from engine.workers.pool import PoolOptions
from engine.workers.zygote import Program

if TYPE_CHECKING:
    from engine.config import Config


def options_of(config: Config) -> PoolOptions:
    """What the configuration says of the pool. Raises `ConfigurationError` if a library isn't installed."""
    return PoolOptions(
        spares=config.spares,
        workers_max=config.workers_max,
        suspend_after_s=config.suspend_after_s,
        stop_after_s=config.stop_after_s,
        program=program_of(config),
        zygote=Lifetime(config.zygote_forks_max, config.zygote_age_max_h * 3600.0),
    )


def program_of(config: Config) -> Program:
    """How a zygote is started. Raises `ConfigurationError` if a library isn't installed."""
    installed.require(config.libraries)
    return Program(
        is_degraded_allowed=config.allow_degraded,
        cgroups=tuple(filter(None, config.cgroups.split(":"))),
        libraries=config.libraries,
    )
