"""Who is calling, and who that is: processes by their user, tokens by themselves."""

from __future__ import annotations

import os
import pwd
import socket

import pytest
from fake_core import FakeTokens

from engine.api.auth import TOKEN_CHARS_MAX, Peer, People, peer_of, peers_of, user_name
from engine.api.tries import PLACES_MAX, TRIES_MAX, TRY_EVERY_MS, Tries, place_of
from engine.clock import ManualClock
from engine.errors import ConfigurationError, Forbidden, TooManyTries, Unauthenticated
from engine.roles import Grants, Role


@pytest.fixture
def tokens() -> FakeTokens:
    return FakeTokens()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def people(tokens: FakeTokens, clock: ManualClock) -> People:
    return People(tokens, clock, own_uid=1000)  # type: ignore[arg-type]


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_of(left) == Peer(os.getpid(), os.geteuid(), os.getegid())


@pytest.mark.parametrize("uid", [0, 1000])
def test_root_and_the_own_user_may_do_everything(people: People, uid: int) -> None:
    assert people.of_peer(Peer(1, uid, uid))().grants.everywhere(Role.OWNER)


def test_another_user_may_nothing_and_is_told_who_may(people: People) -> None:
    with pytest.raises(Forbidden) as refused:
        people.of_peer(Peer(1, 1001, 1001))
    assert "user 1001" in refused.value.message
    assert "user 1000" in refused.value.message
    assert "peers" in refused.value.remedy


def test_another_user_may_what_it_was_given_as_long_as_it_has_it(people: People) -> None:
    people.peers = {1001: Grants.parse(["ingest"])}
    asker = people.of_peer(Peer(1, 1001, 1001))
    assert asker().grants.texts == ("ingest",)
    people.peers = {}
    with pytest.raises(Forbidden):
        asker()


def test_the_audit_names_the_user(people: People) -> None:
    root = people.of_peer(Peer(7, 0, 0))().caller
    assert (root.who, root.origin) == (f"user {pwd.getpwuid(0).pw_name}", "uid 0, pid 7 on the socket")
    assert user_name(4_000_000_000) == "uid 4000000000"


def test_the_audit_names_the_token_and_where_it_came_from(people: People, tokens: FakeTokens) -> None:
    tokens.add("secret", "owner")
    caller = people.of_token("secret", address="10.0.0.1", through="through a relay")().caller
    assert (caller.who, caller.origin) == ("token t1", "token 1 from 10.0.0.1 through a relay")
    assert tokens.used == ["t1"]


@pytest.mark.parametrize("text", ["", "nope", "x" * (TOKEN_CHARS_MAX + 1), "\ud800"])
def test_a_token_that_nobody_knows_is_nobody_s(people: People, text: str) -> None:
    with pytest.raises(Unauthenticated, match="nobody knows this token"):
        people.of_token(text, address="a", through="")


def test_a_token_is_asked_for_anew_at_each_request(people: People, tokens: FakeTokens) -> None:
    tokens.add("secret", "owner")
    asker = people.of_token("secret", address="a", through="")
    assert asker().grants.texts == ("owner",)
    tokens.known.clear()
    with pytest.raises(Unauthenticated, match="was removed, or has expired"):
        asker()


def test_peers_are_users_by_name_or_number() -> None:
    root = pwd.getpwuid(0).pw_name
    assert {
        uid: grants.texts for uid, grants in peers_of([(root, ["ingest"]), ("77", ["owner"])]).items()
    } == {
        0: ("ingest",),
        77: ("owner",),
    }


@pytest.mark.parametrize(
    ("name", "roles", "problem"),
    [
        ("no such user", ["owner"], "no user 'no such user'"),
        ("77", ["admin"], "peers.77: 'admin' is no role"),
        ("77", ["ingest=shop"], "can't be given for one function"),
    ],
)
def test_peers_that_can_not_be_are_refused(name: str, roles: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        peers_of([(name, roles)])
    assert problem in refused.value.message


# --- Failed tries


def fail(people: People, address: str = "10.0.0.1") -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        people.of_token("guess", address=address, through="")
    return refused.value


def test_failed_tries_are_limited_a_place_and_allowed_again_with_time(
    people: People, clock: ManualClock
) -> None:
    assert {fail(people).code for _ in range(TRIES_MAX)} == {"unauthenticated"}
    told = fail(people)
    assert isinstance(told, TooManyTries)
    assert 0 < told.data["retry_after_ms"] <= TRY_EVERY_MS
    assert fail(people, "10.0.0.2").code == "unauthenticated"
    clock.advance_ms(told.data["retry_after_ms"])
    assert fail(people).code == "unauthenticated"
    assert fail(people).code == "too_many_tries"


def test_who_goes_on_failing_is_not_shut_out_for_longer(people: People, clock: ManualClock) -> None:
    for _ in range(1_000):
        fail(people)
    clock.advance_ms(TRY_EVERY_MS)
    assert fail(people).code == "unauthenticated"


def test_nobody_shuts_others_out_by_failing_beside_them(people: People, tokens: FakeTokens) -> None:
    tokens.add("secret", "owner")
    for _ in range(100):
        fail(people)
    assert people.of_token("secret", address="10.0.0.1", through="")().grants.texts == ("owner",)


def test_an_ipv6_customer_is_one_place() -> None:
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") != place_of("2001:db8:0:1::1")
    assert place_of("10.0.0.1") == "10.0.0.1"
    assert place_of("uid 1001") == "uid 1001"


def test_places_are_forgotten_before_they_fill_the_memory(clock: ManualClock) -> None:
    tries = Tries(clock)
    for _ in range(2 * TRIES_MAX):
        tries.failed("first")
    for number in range(PLACES_MAX):
        assert tries.failed(f"place {number}") == 0
    assert len(tries._paid_at_ms) == PLACES_MAX
    assert tries.failed("first") == 0
