"""Operation → what it answers, as JSON has it; and what answers every request that fails."""

from __future__ import annotations

from typing import Any, Final

from engine.api.answers import nouns, running
from engine.api.answers.shared import Answer, Event

ANSWERS: Final[dict[str, Any]] = {
    "deploy": nouns.Deployed,
    "source.create": nouns.SourceShown,
    "source.list": list[nouns.SourceRow],
    "source.show": nouns.SourceShown,
    "source.update": nouns.SourceShown,
    "source.samples": list[Event | None],
    "source.remove": nouns.Named,
    "function.save": nouns.Saved,
    "function.deploy": nouns.Moved,
    "function.check": list[nouns.CheckedVersion],
    "function.list": list[nouns.FunctionRow],
    "function.show": nouns.FunctionShown,
    "function.update": nouns.FunctionShown,
    "function.remove": nouns.Named,
    "destination.create": nouns.DestinationMade,
    "destination.list": list[nouns.DestinationRow],
    "destination.show": nouns.DestinationShown,
    "destination.update": nouns.DestinationChanged,
    "setting.list": list[nouns.SettingRow],
    "setting.update": nouns.DestinationChanged,
    "key.list": nouns.Keys,
    "key.rotate": nouns.Rotated,
    "token.create": nouns.TokenMade,
    "token.list": list[nouns.TokenRow],
    "token.remove": nouns.Named,
    "usage": list[nouns.Used],
    "audit": nouns.AuditEntry,
    "test": list[nouns.Tried],
    "list": list[running.Status],
    "show": running.StatusShown,
    "remove": running.Removed,
    "pause": running.StateChanged,
    "resume": running.StateChanged,
    "stats": running.Stats,
    "metrics": dict[str, list[running.Sample]],
    "ready": running.Ready,
    "workers": list[running.Worker],
    "deliveries": running.Delivery,
    "replay": running.Replayed,
    "health": list[running.HealthRow],
    "logs": running.Attempt,
}
"""Operation → what it answers, as JSON has it; of a stream, one item."""


class Refusal(Answer):
    """Why not: a stable code, what happened, what to do, particulars."""

    code: str
    message: str
    remedy: str
    data: dict[str, Any]


class Refused(Answer):
    """What every request that isn't answered otherwise is answered with."""

    error: Refusal


class Submitted(Answer):
    """Events that are durable, and those that were known."""

    accepted: int
    duplicates: int
