"""What answers have in common."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """A map with these keys and no others."""

    # Only a description of the API needs its schema, and only when somebody asks for it.
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True, defer_build=True)


Told: TypeAlias = dict[str, Any]
"""What users' code or the kernel said."""
Event: TypeAlias = dict[str, Any]
Counts: TypeAlias = dict[str, int]
