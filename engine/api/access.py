"""The table of operations and roles: what each operation takes, and of what it shows only a part to whom.

Pure: a decision needs the grants, the request, and a `Directory` that knows which function a destination runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from engine.errors import Forbidden
from engine.roles import SCOPED, Role
from sandbox.wire import Detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.roles import Grants


class Directory(Protocol):
    """What runs what."""

    def function_of(self, destination: str) -> str | None:
        """The function that a destination runs; None if there is no such destination."""

    def has_destinations(self, function: str) -> bool:
        """Some destination runs it."""


class Reach(Enum):
    """What a request concerns, if not one function."""

    ALL = "all functions"
    """The role must be given for all of them."""
    ANY = "some function"
    """It is enough to have it for one: rows about others are left out."""


Of: TypeAlias = "Callable[[Directory, Any], str | Reach | None]"
"""The function that a request concerns; None is one that nobody knows, which only who may all may hear."""
Rows: TypeAlias = "Callable[[Directory, dict[str, Any]], str | None]"


def _all(_directory: Directory, _request: Any) -> Reach:
    return Reach.ALL


def _any(_directory: Directory, _request: Any) -> Reach:
    return Reach.ANY


def _function(_directory: Directory, request: Any) -> str:
    return str(request.name)


def _given_function(_directory: Directory, request: Any) -> str:
    return str(request.function)


def _destination(directory: Directory, request: Any) -> str | None:
    return directory.function_of(request.name)


def _destination_or_any(directory: Directory, request: Any) -> str | Reach | None:
    return directory.function_of(request.name) if request.name is not None else Reach.ANY


def _never(_directory: Directory, _request: Any) -> bool:
    return False


def _always(_directory: Directory, _request: Any) -> bool:
    return True


def _moves(directory: Directory, request: Any) -> bool:
    """A deploy of a function: destinations there are would run something else."""
    return getattr(request, "deploy", True) and directory.has_destinations(request.name)


def _moves_or_connects(directory: Directory, request: Any) -> bool:
    exists = directory.function_of(request.name) is not None
    return exists or bool(request.sources) or directory.has_destinations(request.name)


def _connects(_directory: Directory, request: Any) -> bool:
    return bool(request.sources)


def _changes_flow(_directory: Directory, request: Any) -> bool:
    """What runs, or what feeds it; its settings, limits and filter are the function's own business."""
    return request.follow or any(
        change is not None for change in (request.version, request.sources, request.enabled)
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """What one operation takes."""

    role: Role
    of: Of = _all
    rows: Rows | None = None
    """Of an answer in rows: which function a row is about."""
    source_admin_too: Callable[[Directory, Any], bool] = _never
    payloads: bool = False
    """What events hold isn't shown without the role `payloads`."""
    payloads_only: bool = False
    """It shows nothing else, so without the role `payloads` it isn't answered."""


_READ, _ADMIN = Role.FUNCTIONS_READ_ONLY, Role.FUNCTIONS_ADMIN
ACCESS: Final[dict[str, Rule]] = {
    "deploy": Rule(_ADMIN, _function, source_admin_too=_moves_or_connects),
    "test": Rule(_ADMIN, _any),
    "list": Rule(_READ, _any, rows=lambda directory, row: directory.function_of(row["name"])),
    "show": Rule(_READ, _destination),
    "remove": Rule(_ADMIN, _destination, source_admin_too=_always),
    "pause": Rule(_ADMIN, _destination),
    "resume": Rule(_ADMIN, _destination),
    "stats": Rule(_READ),
    "metrics": Rule(Role.METRICS),
    "ready": Rule(Role.INGEST),
    "http.count": Rule(Role.INGEST),
    "workers": Rule(_READ, _any, rows=lambda directory, row: directory.function_of(row["destination"] or "")),
    "deliveries": Rule(_READ, _destination, payloads=True),
    "replay": Rule(_ADMIN, _destination),
    "health": Rule(
        _READ, _destination_or_any, rows=lambda directory, row: directory.function_of(row["name"])
    ),
    "logs": Rule(_READ, _destination, payloads=True),
    "function.save": Rule(_ADMIN, _function, source_admin_too=_moves),
    "function.deploy": Rule(_ADMIN, _function, source_admin_too=_moves),
    "function.check": Rule(_READ, _any, rows=lambda _, row: row["name"]),
    "function.list": Rule(_READ, _any, rows=lambda _, row: row["name"]),
    "function.show": Rule(_READ, _function),
    "function.update": Rule(_ADMIN, _function),
    "function.remove": Rule(_ADMIN, _function),
    "destination.create": Rule(_ADMIN, _given_function, source_admin_too=_connects),
    "destination.update": Rule(_ADMIN, _destination, source_admin_too=_changes_flow),
    "destination.list": Rule(_READ, _any, rows=lambda _, row: row["function"]),
    "destination.show": Rule(_READ, _destination),
    "setting.list": Rule(_READ, _destination),
    "setting.update": Rule(_ADMIN, _destination),
    "source.create": Rule(Role.SOURCE_ADMIN),
    "source.list": Rule(Role.SOURCE_ADMIN),
    "source.show": Rule(Role.SOURCE_ADMIN),
    "source.update": Rule(Role.SOURCE_ADMIN),
    "source.samples": Rule(Role.SOURCE_ADMIN, payloads_only=True),
    "source.keys": Rule(Role.INGEST),
    "source.remove": Rule(Role.SOURCE_ADMIN),
    "usage": Rule(_READ, _any, rows=lambda _, row: row["function"]),
    "key.list": Rule(Role.OWNER),
    "key.rotate": Rule(Role.OWNER),
    "audit": Rule(Role.OWNER),
    "token.create": Rule(Role.OWNER),
    "token.list": Rule(Role.OWNER),
    "token.remove": Rule(Role.OWNER),
    # What isn't called but submitted; `request.name` is the destination's.
    "submit": Rule(_ADMIN, _destination, payloads=True),
    "submit to a source": Rule(Role.INGEST, payloads=True),
}
"""Each operation of `api.table`, and each way to send events."""


_TOLD: Final[dict[object, str]] = {
    _any: "for some function: of others nothing is shown",
    _function: "for the function",
    _given_function: "for the function",
    _destination: "for the destination's function",
    _destination_or_any: "for the destination's function, or for some: of others nothing is shown",
    _always: "too",
    _moves: "too, if it moves destinations",
    _moves_or_connects: "too, if the destination is there, or sources are named, or others move",
    _connects: "too, if sources are named",
    _changes_flow: "too, for version, follow, sources, enabled",
}


def access_table() -> list[tuple[str, str, str, str]]:
    """(operation, role, `source-admin`, `payloads`) for the documentation."""
    rows = []
    for name, rule in ACCESS.items():
        reach = _TOLD.get(rule.of, "for all functions" if rule.role in SCOPED else "")
        payloads = "too" if rule.payloads_only else "else without what events hold" if rule.payloads else ""
        rows.append((name, f"`{rule.role}` {reach}".strip(), _TOLD.get(rule.source_admin_too, ""), payloads))
    return rows


def check(who: str, grants: Grants, rule: Rule, directory: Directory, request: Any) -> None:
    """Raise `Forbidden`, naming every role that is missing, unless `who` may."""
    if grants.everywhere(Role.OWNER):
        return  # most are: the way of every frame
    missing = missing_roles(grants, rule, directory, request)
    if not missing:
        return
    # A destination's function isn't told to whom it is hidden, nor whether there is such a destination.
    about = (
        f" for the function of the destination {request.name!r}"
        if rule.of in {_destination, _destination_or_any}
        else ""
    )
    texts = [f"{text}{about if text in {_ADMIN, _READ, Role.PAYLOADS} else ''}" for text in missing]
    options = " ".join(f"--role {text!r}" if " " in text else f"--role {text}" for text in missing)
    raise Forbidden(
        f"{who} lacks the role {' and the role '.join(texts)}",
        remedy=f"an owner gives it: `engine token create NAME {options}`, or `peers` in engine.toml",
        data={"roles": missing},
    )


def missing_roles(grants: Grants, rule: Rule, directory: Directory, request: Any) -> list[str]:
    """What would have to be given besides, as it is written; empty if the request may be made."""
    of = rule.of(directory, request)
    is_named = rule.of in {_function, _given_function}
    missing = [
        f"{role}={of}" if is_named else str(role)
        for role in (rule.role, *([Role.PAYLOADS] if rule.payloads_only else ()))
        if not _reaches(grants, role, of)
    ]
    if rule.source_admin_too(directory, request) and not grants.anywhere(Role.SOURCE_ADMIN):
        missing.append(str(Role.SOURCE_ADMIN))
    return missing


def _reaches(grants: Grants, role: Role, of: str | Reach | None) -> bool:
    if of is Reach.ALL:
        return grants.everywhere(role)
    if of is Reach.ANY:
        return grants.anywhere(role)
    return grants.has(role, of)


def visible(grants: Grants, rule: Rule, directory: Directory, answer: Any) -> Any:
    """The answer without the rows about functions that aren't visible."""
    if rule.rows is None or grants.everywhere(rule.role):
        return answer
    return [row for row in answer if grants.has(rule.role, rule.rows(directory, row))]


def hides_payloads(grants: Grants, rule: Rule, directory: Directory, request: Any) -> bool:
    """What this request is answered with goes through `without_payload`."""
    if not rule.payloads or grants.everywhere(Role.PAYLOADS):
        return False
    of = rule.of(directory, request)
    return not grants.has(Role.PAYLOADS, of if isinstance(of, str) else None)


WITHHELD: Final = "[withheld: the role payloads is missing]"
_HARMLESS_OF_ERROR: Final = frozenset({"code", "type", "line", "column", "traceback"})
_HARMLESS_OF_REQUEST: Final = frozenset(
    "method status error redirects started_ms waited_ms resolve_ms connect_ms first_byte_ms total_ms"
    " request_bytes response_bytes".split()
)


def without_payload(item: dict[str, Any]) -> dict[str, Any]:
    """A delivery or an attempt with how it ended, where and when, and nothing that an event may have brought in.

    That is more than its body: what the function said of it in an error or on the console, and what it sent on.
    """
    shown = {**item, "is_withheld": True, "error": _error_without_payload(item.get("error")), "logs": []}
    if "body" in item:
        shown["body"] = b""
    if "requests" in item:
        shown["requests"] = [
            {
                "url": WITHHELD,
                **{name: value for name, value in request.items() if name in _HARMLESS_OF_REQUEST},
            }
            for request in item["requests"]
        ]
    if "attempts" in item:
        shown["attempts"] = [without_payload(attempt) for attempt in item["attempts"]]
    return shown


def _error_without_payload(error: dict[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        **{name: value for name, value in error.items() if name in _HARMLESS_OF_ERROR},
        "message": WITHHELD,
    }


def detail_without_payload(packed: bytes) -> bytes:
    """The same for what `sandbox.wire.Detail` packs."""
    detail = Detail.unpack(packed)
    return Detail(error=_error_without_payload(detail.error), duration_us=detail.duration_us).pack()
