"""What the Public API takes, as models. Names are theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.gateway.public_api.refusals import Invalid

ResourceType: TypeAlias = Literal["DESTINATION", "INSERT_DESTINATION", "SOURCE"]
T = TypeVar("T", bound="Asked")


class Asked(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CreateFunction(Asked):
    """A function to make."""

    code: str
    displayName: Annotated[str, Field(min_length=1, max_length=120)]  # noqa: N815  theirs
    resourceType: ResourceType  # noqa: N815  theirs
    settings: list[dict[str, Any]] | None = None
    logoUrl: str | None = None  # noqa: N815  theirs
    description: str | None = None


class UpdateFunction(Asked):
    """What changes of a function."""

    code: str | None = None
    displayName: Annotated[str, Field(min_length=1, max_length=120)] | None = None  # noqa: N815  theirs
    settings: list[dict[str, Any]] | None = None
    logoUrl: str | None = None  # noqa: N815  theirs
    description: str | None = None


class RestoreVersion(Asked):
    """A version whose code is to be the newest."""

    versionId: str  # noqa: N815  theirs


class CreateInstance(Asked):
    """A function to run on what a source sends."""

    functionId: str  # noqa: N815  theirs
    integrationId: str  # noqa: N815  theirs
    name: Annotated[str, Field(min_length=1, max_length=120)]
    settings: dict[str, Any]
    enabled: bool = True


class UpdateInstance(Asked):
    """What changes of an instance."""

    enabled: bool | None = None
    name: str | None = None
    settings: dict[str, Any] = Field(default={})


class PreviewFunction(Asked):
    """A function as it is written; its settings may have values."""

    code: str
    settings: list[dict[str, Any]] = Field(default=[])
    displayName: str = ""  # noqa: N815  theirs
    description: str = ""
    logoUrl: str = ""  # noqa: N815  theirs
    resourceType: ResourceType = "DESTINATION"  # noqa: N815  theirs


class Preview(Asked):
    """Code to try. `payload` is an event or, for `on_batch`, a list of events: as JSON, or as text that is JSON."""

    function: PreviewFunction
    type: ResourceType = "DESTINATION"
    payload: str | dict[str, Any] | list[Any]


def read(model: type[T], body: Any) -> T:
    """Raises `Invalid`, naming the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Invalid(f"{place}: {first['msg']}" if place else first["msg"], field=place) from None
