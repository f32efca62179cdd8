"""Every setting of the daemon in one table: name with unit, default, bounds, meaning.

From strongest to weakest: flags, `ENGINE_…` variables, `engine.toml`, the defaults here.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.address import parse_address
from engine.errors import ConfigurationError, UsageError
from engine.model import Limits
from engine.paths import LIMIT_OPTIONS, default_data_dir
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX: Final = "ENGINE_"


def _int(default: int, low: int, high: int, meaning: str, *, base: int = 10) -> Any:
    shape = "#o" if base == 8 else "d"
    return field(
        default=default, metadata={"low": low, "high": high, "meaning": meaning, "base": base, "shape": shape}
    )


def _text(default: str, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"meaning": meaning, "choices": choices})


def _list(meaning: str) -> Any:
    return field(default=(), metadata={"meaning": meaning, "check": _check_list})


def _libraries(meaning: str) -> Any:
    return field(default=(), metadata={"meaning": meaning, "check": _check_libraries})


def _lists(meaning: str) -> Any:
    return field(default=(), metadata={"meaning": meaning, "check": _check_lists})


def _http() -> Any:
    meaning = "where HTTP is served, HOST:PORT; empty: it isn't"
    return field(default="", metadata={"meaning": meaning, "check": _check_http})


def _check_http(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is text, not {value!r}")  # noqa: TRY004  one class for what a user got wrong
    if value:
        try:
            parse_address(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return value


def _check_list(name: str, value: Any) -> tuple[str, ...]:
    """A list of text; in the environment one text, with commas between."""
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"{name} is a list of text, not {value!r}")
    return tuple(items)


def _check_libraries(name: str, value: Any) -> tuple[str, ...]:
    """A list of those that there are, each once."""
    names = _check_list(name, value)
    unknown = [item for item in names if item not in LIBRARIES]
    if unknown:
        raise ValueError(f"{name} knows {', '.join(LIBRARIES)}, not {', '.join(unknown)}")
    return tuple(dict.fromkeys(names))


def _check_lists(name: str, value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A table of name and list."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is a table of name = [list], not {value!r}")  # noqa: TRY004  one class for what a user got wrong
    return tuple((str(key), _check_list(f"{name}.{key}", item)) for key, item in value.items())


@dataclass(frozen=True, slots=True)
class Config:
    """The daemon's settings, checked."""

    data_dir: str = _text("", "where journal and registry live; ~/.local/state/engine")
    socket: str = _text("", "path of the Unix socket; engine.sock in the data directory")
    socket_mode: int = _int(0o600, 0o600, 0o777, "permissions of the socket, octal", base=8)
    http: str = _http()
    metrics_open: bool = field(
        default=False,
        metadata={"meaning": "whoever reaches the HTTP port may read /metrics, without a token"},
    )
    http_requests_per_s: int = _int(
        0,
        0,
        1_000_000,
        "tracking requests a second of one source, beyond which it is told 429; 0 is no limit",
    )
    peers: tuple[tuple[str, tuple[str, ...]], ...] = _lists(
        "what other users' processes may do on the socket: user or uid = [roles]"
    )
    secret_key_file: str = _text("", "where the key of secrets lives; secret.key in the data directory")
    workspace: str = _text("main", "how `integrations` objects name this installation: Name (main)")
    spares: int = _int(4, 1, 64, "jailed workers kept ready ahead of need")
    workers_max: int = _int(256, 1, 4096, "bound workers at once")
    timeout_ms: int = _int(
        5_000, 50, 900_000, "an invocation's deadline, unless its destination says otherwise"
    )
    memory_mib: int = _int(128, 8, 16_384, "what a worker may use beyond what it starts with")
    concurrency: int = _int(16, 1, 1_024, "invocations of a destination at once")
    batch_size: int = _int(20, 1, 400, "events that close a batch")
    batch_wait_ms: int = _int(10_000, 10, 900_000, "the longest that a batch waits")
    suspend_after_s: int = _int(60, 1, 86_400, "idle time after which a worker is suspended")
    stop_after_s: int = _int(300, 1, 86_400, "idle time after which a worker is stopped")
    zygote_forks_max: int = _int(
        10_000, 100, 10_000_000, "workers a zygote forks before another takes its place"
    )
    zygote_age_max_h: int = _int(24, 1, 8_760, "hours a zygote forks workers before another takes its place")
    libraries: tuple[str, ...] = _libraries(
        f"libraries that functions may import, of {', '.join(LIBRARIES)}; installed with `pip install '.[libraries]'`"
    )
    frame_ms: int = _int(20, 1, 1_000, "work that a worker is sent at a time")
    commit_wait_us: int = _int(
        0, 0, 100_000, "how long the journal waits for more events before it writes; 0 is not at all"
    )
    prefetch_chunks: int = _int(16, 1, 256, "chunks of a destination that are read from disk at a time")
    memory_queue_mib: int = _int(64, 1, 16_384, "events kept in memory; the rest waits on disk")
    retry_first_ms: int = _int(1_000, 10, 3_600_000, "about the pause before the first retry")
    retry_cap_ms: int = _int(900_000, 10, 86_400_000, "the longest pause between retries")
    retry_for_s: int = _int(14_400, 1, 2_592_000, "how long after acceptance a failure is retried")
    rate_per_s: int = _int(0, 0, 1_000_000, "deliveries of a destination a second; 0 is no limit")
    queue_events: int = _int(0, 0, 1_000_000_000, "events stored of a destination; 0 is no limit")
    drain_timeout_s: int = _int(10, 0, 3_600, "how long a stop waits for what is running")
    journal_size_max_mib: int = _int(0, 0, 1 << 24, "the journal's limit on disk; 0 is none")
    shelf_days: int = _int(7, 1, 3_650, "how long dead and discarded events are kept")
    shelf_mib: int = _int(1_024, 1, 1 << 20, "how much of them is kept")
    dedupe_hours: int = _int(24, 1, 720, "how long a messageId is known, so that its event isn't taken twice")
    dedupe_disk_mib: int = _int(
        1_024, 1, 1 << 16, "what known ids take on disk at most; a 32nd of it is taken of memory"
    )
    records_mib: int = _int(1_024, 16, 1 << 20, "size of the records: counters, and particulars of failures")
    records_destination_mib: int = _int(64, 1, 1 << 20, "how much of it one destination's failures may take")
    records_attempt_days: int = _int(7, 1, 3_650, "how long the particulars of failures are kept")
    records_minute_hours: int = _int(48, 2, 8_760, "how long counters by minute are kept")
    records_hour_days: int = _int(60, 2, 3_650, "how long counters by hour are kept")
    records_day_days: int = _int(730, 31, 36_500, "how long counters by day are kept")
    cgroups: str = _text("", "writable cgroup directories that all workers join, separated by colons")
    egress_processes: int = _int(
        1, 1, 64, "processes that perform HTTP; a destination is always on the same one"
    )
    egress_allow: tuple[str, ...] = _list(
        "hosts and networks that may be called although they aren't public, or at other ports than 80 and 443"
    )
    egress_deny: tuple[str, ...] = _list("hosts and networks that may not be called; wins over what allows")
    egress_allow_for: tuple[tuple[str, tuple[str, ...]], ...] = _lists(
        "the same for one destination: name = [list]"
    )
    egress_deny_for: tuple[tuple[str, tuple[str, ...]], ...] = _lists(
        "the same for one destination: name = [list]"
    )
    egress_secret_headers: tuple[str, ...] = _list(
        "headers whose values are never shown, and don't follow a redirect to another host"
    )
    egress_source_address: str = _text("", "address that calls come from; empty: the system chooses")
    egress_ca_file: str = _text("", "certificates (PEM) to trust instead of the system's")
    log_format: str = _text("text", "how the daemon logs", ("text", "json"))
    log_level: str = _text("info", "what the daemon logs", ("debug", "info", "warning", "error"))
    allow_degraded: bool = field(
        default=False, metadata={"meaning": "serve although this host refuses namespaces"}
    )

    @property
    def limits(self) -> Limits:
        """A destination's limits where it says nothing."""
        return Limits(**{name: getattr(self, name) for name in LIMIT_NAMES})


LIMIT_NAMES: Final = tuple(name for name, _ in LIMIT_OPTIONS)
"""Settings that a destination may choose for itself."""
RELOADED: Final = frozenset(
    {
        *LIMIT_NAMES,
        "peers",
        "spares",
        "workers_max",
        "suspend_after_s",
        "stop_after_s",
        "frame_ms",
        "prefetch_chunks",
        "memory_queue_mib",
        "drain_timeout_s",
        "egress_allow",
        "egress_deny",
        "egress_allow_for",
        "egress_deny_for",
        "egress_secret_headers",
        "egress_source_address",
        "log_format",
        "log_level",
    }
)
"""Settings that SIGHUP changes; the others need a restart."""


def reloaded(running: Config, read: Config) -> tuple[Config, list[str]]:
    """Pure: the settings to run with once `read` is reloaded, and the names of those that changed and need a restart."""
    changed = [
        item.name for item in fields(Config) if getattr(running, item.name) != getattr(read, item.name)
    ]
    taken = {name: getattr(read, name) for name in changed if name in RELOADED}
    return replace(running, **taken), [name for name in changed if name not in RELOADED]


def load(path: Path | None, overrides: Mapping[str, Any], env: Mapping[str, str]) -> Config:
    """Join file, environment and flags (those not None). Raises `ConfigurationError` with everything that is wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    if path is not None:
        values.update(_read(path))
    known = {item.name for item in fields(Config)}
    values.update(
        {
            name: env[key]
            for name in known
            if (key := ENVIRONMENT_PREFIX + name.upper()) in env and env[key] != ""
        }
    )
    values.update({name: value for name, value in overrides.items() if value is not None})
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is no setting" + (f"; did you mean {close[0]}?" if close else ""))
            continue
        try:
            checked[name] = _check(name, value)
        except ValueError as error:
            problems.append(str(error))
    joined = Config(**checked)
    problems += _contradictions(joined.limits)
    if problems:
        raise ConfigurationError(
            "; ".join(problems), remedy="engine/docs/operations.md lists every setting with its bounds"
        )
    data_dir = Path(joined.data_dir or default_data_dir(env)).expanduser()
    socket = Path(joined.socket or data_dir / "engine.sock").expanduser()
    key_file = Path(joined.secret_key_file or data_dir / "secret.key").expanduser()
    return replace(joined, data_dir=str(data_dir), socket=str(socket), secret_key_file=str(key_file))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror}", remedy="name another file with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}", remedy="mend the line it names") from None


def _check(name: str, value: Any) -> Any:
    item = next(entry for entry in fields(Config) if entry.name == name)
    if "check" in item.metadata:
        return item.metadata["check"](name, value)
    if isinstance(item.default, bool):
        if value in (True, "1", "true", "yes"):
            return True
        if value in (False, "0", "false", "no"):
            return False
        raise ValueError(f"{name} is true or false, not {value!r}")
    if isinstance(item.default, int):
        return _check_int(name, value, item.metadata)
    if not isinstance(value, str | Path):
        raise ValueError(f"{name} is text, not {value!r}")  # noqa: TRY004  one class for what a user got wrong
    choices = item.metadata.get("choices")
    if choices and str(value) not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
    return str(value)


def _check_int(name: str, value: Any, metadata: Mapping[str, Any]) -> int:
    shape, base = metadata["shape"], metadata["base"]
    bounds = f"{metadata['low']:{shape}} to {metadata['high']:{shape}}"
    try:
        number = int(value, base) if isinstance(value, str) else value
    except ValueError:
        number = None
    if type(number) is not int or not metadata["low"] <= number <= metadata["high"]:
        shown = f"{value:{shape}}" if type(value) is int else repr(value)
        raise ValueError(f"{name} is a whole number from {bounds}, not {shown}")
    return number


def _contradictions(limits: Limits) -> list[str]:
    if limits.retry_first_ms > limits.retry_cap_ms:
        return [f"retry_first_ms ({limits.retry_first_ms}) is more than retry_cap_ms ({limits.retry_cap_ms})"]
    return []


def check_limits(limits: Mapping[str, Any], defaults: Limits) -> Limits:
    """A destination's limits over the daemon's. Raises `UsageError` with everything that is wrong."""
    problems, checked = [], {}
    for name, value in limits.items():
        if name not in LIMIT_NAMES:
            problems.append(f"{name} is no limit; there are {', '.join(LIMIT_NAMES)}")
            continue
        try:
            checked[name] = _check(name, value)
        except ValueError as error:
            problems.append(str(error))
    joined = replace(defaults, **checked)
    problems += _contradictions(joined)
    if problems:
        raise UsageError("; ".join(problems), remedy="choose a value within the bounds")
    return joined


def settings_table() -> list[tuple[str, str, str, str, str]]:
    """(name, default, bounds, reload, meaning) for the documentation."""
    rows = []
    for item in fields(Config):
        about = item.metadata
        shape = about.get("shape", "")
        bounds = (
            f"{about['low']:{shape}} to {about['high']:{shape}}"
            if "low" in about
            else ", ".join(about.get("choices", ()))
        )
        reload = "yes" if item.name in RELOADED else ""
        default = "" if item.default == () else f"{item.default:{shape}}"
        rows.append((item.name, default, bounds, reload, about["meaning"]))
    return rows
