"""Functions and their deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from engine.errors import Conflict
from engine.gateway.public_api import asked, paging, shapes
from engine.gateway.public_api.refusals import Invalid
from engine.gateway.public_api.request import given, only_destinations

if TYPE_CHECKING:
    from engine.gateway.public_api.request import Request

NAMES_TRIED: Final = 20
"""Functions whose display names make the same name, before a new one is refused."""


async def create(request: Request) -> dict[str, Any]:
    """POST /functions."""
    wanted = asked.read(asked.CreateFunction, request.body)
    only_destinations(wanted.resourceType)
    for number in range(1, NAMES_TRIED + 1):
        name = shapes.name_of(wanted.displayName, number)
        try:
            await request.call(
                "function.save",
                name=name,
                source=wanted.code,
                is_new=True,
                display_name=wanted.displayName,
                **given(schema=wanted.settings, logo_url=wanted.logoUrl, description=wanted.description),
            )
        except Conflict:
            continue
        return {"function": shapes.function(await request.call("function.show", name=name))}
    raise Invalid(
        f"there are {NAMES_TRIED} functions of this name already; choose another", field="displayName"
    )


async def list_(request: Request) -> dict[str, Any]:
    """GET /functions."""
    wanted = request.query.get("resourceType", shapes.DESTINATION)
    if wanted not in get_args(asked.ResourceType):
        raise Invalid("resourceType is one of DESTINATION, INSERT_DESTINATION, SOURCE", field="resourceType")
    rows = await request.call("function.list")
    rows = rows if wanted == shapes.DESTINATION else []  # there are no others here
    part, pagination = paging.cut([row["name"] for row in rows], paging.page_of(request.query))
    return {"functions": [shapes.list_item(row) for row in rows[part]], "pagination": pagination}


async def get(request: Request) -> dict[str, Any]:
    """GET /functions/{id}."""
    return {"function": shapes.function(await request.call("function.show", name=request.ids[0]))}


async def update(request: Request) -> dict[str, Any]:
    """PATCH /functions/{id}."""
    (name,) = request.ids
    wanted = asked.read(asked.UpdateFunction, request.body)
    about = given(display_name=wanted.displayName, logo_url=wanted.logoUrl, description=wanted.description)
    shown = await request.call("function.show", name=name)
    if wanted.code is None and wanted.settings is None:
        shown = await request.call("function.update", name=name, **about)
    else:
        schema = wanted.settings if wanted.settings is not None else shown["settings"]
        await request.call(
            "function.save",
            name=name,
            source=wanted.code if wanted.code is not None else shown["code"],
            filename=shown["filename"],
            **given(schema=schema),
            **about,
        )
        shown = await request.call("function.show", name=name)
    return {"function": shapes.function(shown)}


async def delete(request: Request) -> dict[str, Any]:
    """DELETE /functions/{id}."""
    await request.call("function.remove", name=request.ids[0])
    return {"status": "SUCCESS"}


async def deploy(request: Request) -> dict[str, Any]:
    """POST /functions/{id}/deploy: the newest version."""
    await request.call("function.deploy", name=request.ids[0])
    return {"functionDeployment": {"status": "SUCCESS"}}
