"""The settings that the daemon runs with, and their reload by SIGHUP: all that was read is in order, or nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from engine import notify
from engine.config import reloaded
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import Config

log = structlog.get_logger()


class Running:
    """Owner of the settings."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self.config = config
        self._read = read
        self._apply: Callable[[Config], None] | None = None
        self._is_due = False
        """A reload was asked for before there was anything to give the settings to."""

    def started(self, apply: Callable[[Config], None]) -> None:
        """The parts are there: `apply` gives them the settings, now and after each reload."""
        self._apply = apply
        apply(self.config)
        if self._is_due:
            self.reload()

    def reload(self) -> None:
        """Read file, environment and flags again, once the parts are there. What needs a restart is named in the log, and left as it is."""
        if self._apply is None:
            self._is_due = True
            return
        notify.notify(notify.reloading())
        try:
            self.config, waiting = reloaded(self.config, self._read())
        except ConfigurationError as error:
            log.error("reload_refused", reason=error.message, remedy=error.remedy)  # noqa: TRY400  the reason is the message
        else:
            self._apply(self.config)
            log.info("reloaded")
            if waiting:
                log.warning("restart_needed", settings=waiting)
        notify.notify(notify.READY)
