"""Roles as text, and what was given by them."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.roles import Grants, Role


@pytest.mark.parametrize(
    ("texts", "role", "shop", "crm"),
    [
        (["owner"], Role.PAYLOADS, True, True),
        (["functions-admin"], Role.FUNCTIONS_READ_ONLY, True, True),
        (["functions-admin=shop"], Role.FUNCTIONS_READ_ONLY, True, False),
        (["functions-admin=shop", "functions-read-only"], Role.FUNCTIONS_ADMIN, True, False),
        (["functions-admin=shop", "functions-read-only"], Role.FUNCTIONS_READ_ONLY, True, True),
        (["functions-read-only", "functions-admin=shop"], Role.FUNCTIONS_READ_ONLY, True, True),
        (["functions-admin=shop", "functions-admin=crm"], Role.FUNCTIONS_ADMIN, True, True),
        (["functions-admin"], Role.PAYLOADS, False, False),
        (["functions-admin"], Role.OWNER, False, False),
        (["source-admin"], Role.INGEST, True, True),
        (["payloads=a=b"], Role.PAYLOADS, False, False),
    ],
)
def test_roles_include_others_for_the_same_functions(
    texts: list[str],
    role: Role,
    shop: bool,
    crm: bool,
) -> None:
    grants = Grants.parse(texts)
    assert (grants.has(role, "shop"), grants.has(role, "crm")) == (shop, crm)
    assert grants.texts == tuple(sorted(texts))


def test_a_function_s_name_may_hold_what_separates_it() -> None:
    assert Grants.parse(["payloads=a=b, c"]).has(Role.PAYLOADS, "a=b, c")


def test_what_is_given_for_one_function_is_not_given_for_those_that_nobody_knows() -> None:
    assert not Grants.parse(["functions-admin=shop"]).has(Role.FUNCTIONS_ADMIN, None)
    assert Grants.parse(["functions-admin"]).has(Role.FUNCTIONS_ADMIN, None)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        Grants.parse(["boss", "owner=shop", "payloads=", "payloads=" + "x" * 121])
    for problem in (
        "'boss' is no role",
        "owner can't be given for one",
        "1 to 120 characters; not ''",
        "xxx",
    ):
        assert problem in refused.value.message
    assert "functions-admin" in refused.value.remedy
