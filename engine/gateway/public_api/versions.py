"""Versions of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.errors import NotFound
from engine.gateway.public_api import asked, paging, shapes
from engine.gateway.public_api.request import given

if TYPE_CHECKING:
    from engine.gateway.public_api.request import Request

CODE_BYTES_MAX: Final = 8 << 20
"""Code in a list of versions: a page is cut short where it has so much."""


async def list_versions(request: Request) -> dict[str, Any]:
    """GET /functions/{id}/versions: the newest first. A page ends early where its code has `CODE_BYTES_MAX`."""
    (name,) = request.ids
    page = paging.page_of(request.query)
    shown = await request.call("function.show", name=name)
    numbers = [row["version"] for row in reversed(shown["versions"])]
    # Sorted as text, so that cursors are of one kind: the newest has the first place.
    places = [f"{place:09d}" for place in range(len(numbers))]
    part, _ = paging.cut(places, page)
    versions, size = [], 0
    for number in numbers[part]:
        if size > CODE_BYTES_MAX:
            break
        of_version = await request.call("function.show", name=name, version=number)
        size += len(of_version["code"])
        versions.append(shapes.version(of_version))
    pagination = paging.pagination_of(places, page, part.start, part.start + len(versions))
    return {"versions": versions, "pagination": pagination}


async def get_version(request: Request) -> dict[str, Any]:
    """GET /functions/{id}/versions/{id}."""
    name, version_id = request.ids
    return {"version": shapes.version(await _version(request, name, version_id))}


async def restore_version(request: Request) -> dict[str, Any]:
    """POST /functions/{id}/versions: an old version's code and settings become the newest version."""
    (name,) = request.ids
    wanted = asked.read(asked.RestoreVersion, request.body)
    old = await _version(request, name, wanted.versionId)
    saved = await request.call(
        "function.save",
        name=name,
        source=old["code"],
        filename=old["filename"],
        **given(schema=old["settings"]),
    )
    restored = await request.call("function.show", name=name, version=saved["version"])
    return {"version": shapes.version(restored)}


async def _version(request: Request, name: str, version_id: str) -> dict[str, Any]:
    if not (version_id.isascii() and version_id.isdigit() and len(version_id) < 10):
        raise NotFound(f"the function {name!r} has no version {version_id[:40]!r}")
    shown: dict[str, Any] = await request.call("function.show", name=name, version=int(version_id))
    return shown
