from __future__ import annotations

import os
import socket

import pytest

from engine.api.auth import Peer, check_peer, peer_of
from engine.errors import Forbidden


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_of(left) == Peer(os.getpid(), os.geteuid(), os.getegid())


@pytest.mark.parametrize("uid", [0, 1000])
def test_root_and_the_own_user_may(uid: int) -> None:
    check_peer(Peer(1, uid, uid), own_uid=1000)


def test_another_user_may_not_and_is_told_who_may() -> None:
    with pytest.raises(Forbidden) as refused:
        check_peer(Peer(1, 1001, 1001), own_uid=1000)
    assert "user 1001" in refused.value.message
    assert "user 1000" in refused.value.message
