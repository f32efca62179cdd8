"""Instances of functions: destinations, here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from engine.gateway.public_api import asked, paging, shapes
from engine.gateway.public_api.refusals import Invalid
from engine.gateway.public_api.request import given

if TYPE_CHECKING:
    from engine.gateway.public_api.request import Request

SHOWN_AT_ONCE: Final = 8


async def create(request: Request) -> dict[str, Any]:
    """POST /insert-function-instances."""
    wanted = asked.read(asked.CreateInstance, request.body)
    name = shapes.name_of(wanted.name)
    await request.call(
        "destination.create",
        name=name,
        function=wanted.functionId,
        settings=wanted.settings,
        sources=[wanted.integrationId],
        enabled=wanted.enabled,
    )
    return {"insertFunctionInstance": shapes.instance(await request.call("destination.show", name=name))}


async def list_(request: Request) -> dict[str, Any]:
    """GET /insert-function-instances."""
    rows = await request.call("destination.list")
    function = request.query.get("functionId")
    names = [row["name"] for row in rows if function in {None, row["function"]}]
    part, pagination = paging.cut(names, paging.page_of(request.query))
    at_once = asyncio.Semaphore(SHOWN_AT_ONCE)

    async def show(name: str) -> dict[str, Any]:
        async with at_once:
            return shapes.instance(await request.call("destination.show", name=name))

    return {"instances": await asyncio.gather(*map(show, names[part])), "pagination": pagination}


async def get(request: Request) -> dict[str, Any]:
    """GET /insert-function-instances/{id}."""
    shown = await request.call("destination.show", name=request.ids[0])
    return {"insertFunctionInstance": shapes.instance(shown)}


async def update(request: Request) -> dict[str, Any]:
    """PATCH /insert-function-instances/{id}."""
    (name,) = request.ids
    wanted = asked.read(asked.UpdateInstance, request.body)
    if wanted.name not in {None, name}:
        raise Invalid("an instance keeps its name; make another one", field="name")
    await request.call(
        "destination.update", name=name, settings=wanted.settings, **given(enabled=wanted.enabled)
    )
    return {"insertFunctionInstance": shapes.instance(await request.call("destination.show", name=name))}


async def delete(request: Request) -> dict[str, Any]:
    """DELETE /insert-function-instances/{id}."""
    await request.call("remove", name=request.ids[0])
    return {"status": "SUCCESS"}
