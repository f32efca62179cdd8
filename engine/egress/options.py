"""What the operator decides about HTTP, from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.egress.access import Lists
from engine.egress.rules import parse_pattern
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.config import Config


@dataclass(frozen=True, slots=True)
class EgressOptions:
    """What the operator decides about HTTP."""

    processes: int = 1
    lists: Lists = field(default_factory=Lists)
    lists_for: dict[str, Lists] = field(default_factory=dict)
    """Of single destinations, by name, beside those of all."""
    secret_headers: tuple[str, ...] = ()
    source_address: str = ""
    ca_file: str = ""
    """Certificates to trust instead of the system's; empty for those."""


def options_of(config: Config) -> EgressOptions:
    """What the configuration says of HTTP. Raises `ConfigurationError` naming an entry that is no pattern."""
    texts = [*config.egress_allow, *config.egress_deny]
    texts += [text for _, items in (*config.egress_allow_for, *config.egress_deny_for) for text in items]
    for text in texts:
        try:
            parse_pattern(text)
        except ValueError as error:
            raise ConfigurationError(
                f"egress lists: {error}",
                remedy="write HOST, *.HOST, ADDRESS or NETWORK, with or without :PORT",
            ) from None
    allow_for, deny_for = dict(config.egress_allow_for), dict(config.egress_deny_for)
    return EgressOptions(
        processes=config.egress_processes,
        lists=Lists(config.egress_allow, config.egress_deny),
        lists_for={
            name: Lists(allow_for.get(name, ()), deny_for.get(name, ())) for name in {*allow_for, *deny_for}
        },
        secret_headers=config.egress_secret_headers,
        source_address=config.egress_source_address,
        ca_file=config.egress_ca_file,
    )
