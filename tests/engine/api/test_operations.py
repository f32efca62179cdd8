"""Arguments of operations: what is refused, and in whose words."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api.operations import CALLS
from engine.api.table import OPERATIONS, parse
from engine.errors import UsageError


@pytest.mark.parametrize("name", ["", "a/b", "x" * 121, "a\nb", "\x7f"])
@pytest.mark.parametrize("operation", ["show", "logs", "health", "remove"])
def test_a_name_that_no_destination_can_have_is_refused_with_the_rule(operation: str, name: str) -> None:
    with pytest.raises(UsageError, match="name: a name has 1 to 120 characters, and no '/'"):
        parse(operation, {"name": name})


@pytest.mark.parametrize("name", ["a", 'a b "c"', "ünï→", "x" * 120])
def test_a_name_may_be_anything_else(name: str) -> None:
    _, request = parse("show", {"name": name})
    assert dict(request) == {"name": name}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"code": "nonsense"}, "'nonsense' is no outcome; there are delivered, bad_request"),
        ({"limit": 10_001}, "limit: "),
        ({"since_ms": -1}, "since_ms: "),
        ({"follow": "yes"}, "follow: "),
        ({"unknown": 1}, "unknown: "),
    ],
)
def test_logs_takes_only_what_it_knows(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse("logs", {"name": "a", **arguments})
    assert problem in refused.value.message


@pytest.mark.parametrize("name", ["1", "1.", "1.2.3", "x.1", "1.1\n"])
def test_a_delivery_that_is_named_otherwise_is_refused_with_the_form(name: str) -> None:
    with pytest.raises(UsageError, match=r"id: a delivery is named CHUNK\.INDEX, as in 17\.3"):
        parse("deliveries", {"name": "a", "id": name})


def test_an_operation_that_there_is_not_names_those_there_are() -> None:
    with pytest.raises(UsageError) as refused:
        parse("delete", {})
    assert all(name in refused.value.remedy for name in OPERATIONS)


def test_each_operation_calls_something() -> None:
    assert CALLS.keys() == OPERATIONS.keys()
