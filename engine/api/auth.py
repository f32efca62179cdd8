"""Who is calling: on the Unix socket the kernel says. The daemon's own user and root may do everything, others nothing."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from engine.errors import Forbidden

_UCRED: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end when it connected."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """What the kernel recorded (`SO_PEERCRED`)."""
    return Peer(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def check_peer(peer: Peer, own_uid: int | None = None) -> None:
    """Raise `Forbidden` unless the peer is root or the daemon's own user."""
    own_uid = os.geteuid() if own_uid is None else own_uid
    if peer.uid not in {0, own_uid}:
        raise Forbidden(
            f"user {peer.uid} may not use this daemon, which runs as user {own_uid}",
            remedy="call it as that user or as root",
        )
