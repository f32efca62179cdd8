"""Who is calling. On the Unix socket the kernel says; who shows a token is whose token it is, whatever the kernel says.

The daemon's own user and root may do everything; other users what `peers` in engine.toml gives them, by default nothing.
A relay's connection (the gateway's) carries calls of others, each with a token of its own: whatever the relay may, they may
no more for it. By itself it may what the role `ingest` lets it: know write keys, and send events.
"""

from __future__ import annotations

import functools
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from engine.api.tries import Tries, place_of
from engine.errors import ConfigurationError, Forbidden, TooManyTries, Unauthenticated, UsageError
from engine.registry.audit import Caller
from engine.registry.tokens import digest_of
from engine.roles import ALL, Grants, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.clock import Clock
    from engine.registry.tokens import Tokens

log = structlog.get_logger()

_UCRED: Final = struct.Struct("3i")
TOKEN_CHARS_MAX: Final = 200
"""What is longer is no token, and isn't hashed."""
ORIGIN_CHARS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end when it connected."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """What the kernel recorded (`SO_PEERCRED`)."""
    return Peer(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


@functools.lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """`user deploy`, or `uid 1000` if it has no name. Kept: a directory service can be slow."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"uid {uid}"


def peers_of(configured: Iterable[tuple[str, Iterable[str]]]) -> dict[int, Grants]:
    """User id → what its processes may, of the setting `peers`: user name or id, and roles. Raises `ConfigurationError`."""
    peers: dict[int, Grants] = {}
    for name, roles in configured:
        try:
            uid = int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
            peers[uid] = Grants.parse(roles)
        except KeyError:
            raise ConfigurationError(
                f"peers: there is no user {name!r} on this system", remedy="name one, or give its number"
            ) from None
        except UsageError as error:
            raise ConfigurationError(f"peers.{name}: {error.message}", remedy=error.remedy) from None
    return peers


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, for the audit, and what they were given."""

    caller: Caller
    grants: Grants


Asker: TypeAlias = "Callable[[], Identity]"
"""Asked at each request: a token can be removed, or expire, while its connection stays."""


class People:
    """Owner of who is known."""

    def __init__(self, tokens: Tokens, clock: Clock, *, own_uid: int | None = None) -> None:
        self.peers: Mapping[int, Grants] = {}
        """User id → what its processes may, besides root's and the daemon's."""
        self._tokens = tokens
        self._tries = Tries(clock)
        self._own_uid = os.geteuid() if own_uid is None else own_uid

    def is_own(self, peer: Peer) -> bool:
        """It is root's, or the daemon's own user's."""
        return peer.uid in {0, self._own_uid}

    def of_peer(self, peer: Peer) -> Asker:
        """Whose process it is. Raises `Forbidden` if that user was given nothing."""
        caller = Caller(user_name(peer.uid), f"uid {peer.uid}, pid {peer.pid} on the socket")
        if self.is_own(peer):
            owner = Identity(caller, ALL)
            return lambda: owner

        def now() -> Identity:
            grants = self.peers.get(peer.uid)
            if grants is None:
                raise Forbidden(
                    f"user {peer.uid} may not use this daemon, which runs as user {self._own_uid}",
                    remedy="call it as that user or as root, show a token (ENGINE_TOKEN), or be given a role by `peers` in"
                    " engine.toml",
                )
            return Identity(caller, grants)

        now()
        return now

    def of_token(self, token: str, *, address: str, through: str) -> Asker:
        """Whose token it is. `address` is where it comes from, `through` by what connection, for the audit.

        Raises `Unauthenticated`, or `TooManyTries` for an address that tried too many that aren't known. One that is known
        is never held up: nobody can shut others out by failing beside them, and 256 bits can't be guessed anyhow.
        """
        digest = digest_of(token) if len(token) <= TOKEN_CHARS_MAX else b""
        if self._tokens.find(digest) is None:
            raise self._refused(address)

        def now() -> Identity:
            found = self._tokens.find(digest)
            if found is None:
                raise Unauthenticated("the token was removed, or has expired", remedy=SHOW_ONE)
            self._tokens.use(digest)
            return Identity(
                Caller(f"token {found.name}", f"token {found.id} from {address} {through}"), found.grants
            )

        return now

    @staticmethod
    def nobody(*, address: str, through: str) -> Asker:
        """Who shows no token to a relay: nothing is given to everybody."""
        stranger = Identity(Caller("nobody", f"{address} {through}"), NOTHING)
        return lambda: stranger

    def _refused(self, address: str) -> Unauthenticated:
        wait_ms = self._tries.failed(place_of(address))
        if wait_ms:
            return TooManyTries(
                f"too many tokens from {address} that nobody knows",
                remedy=f"try again in {wait_ms / 1000:.0f} s, with one that is known",
                data={"retry_after_ms": wait_ms},
            )
        log.warning("token_refused", address=address)
        return Unauthenticated("nobody knows this token; it may have expired", remedy=SHOW_ONE)

    @staticmethod
    def as_relay(asker: Asker) -> Asker:
        """Whoever passes on what others ask: by itself it may what `RELAY` has, whatever else it was given.

        Raises `Forbidden` for whom that role wasn't given.
        """

        def now() -> Identity:
            identity = asker()
            if not identity.grants.anywhere(Role.INGEST):
                raise Forbidden(
                    f"{identity.caller.who} lacks the role ingest, which passing on the calls of others takes",
                    remedy="an owner gives it, by a token or by `peers` in engine.toml",
                    data={"roles": [Role.INGEST]},
                )
            return Identity(identity.caller, RELAY)

        now()
        return now


def without_token(refusal: Forbidden) -> Unauthenticated:
    """The same for who shows no token: what it takes."""
    roles = refusal.data.get("roles", [])
    return Unauthenticated(
        f"this takes a token with the role {' and the role '.join(roles)}",
        remedy=SHOW_ONE,
        data={"roles": roles},
    )


NOTHING: Final = Grants.parse([])
RELAY: Final = Grants.parse([Role.INGEST, Role.METRICS])
SHOW_ONE: Final = "an owner makes one: `engine token create NAME --role ROLE`"
