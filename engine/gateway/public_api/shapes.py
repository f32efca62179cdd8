"""What the daemon says of its nouns → what the Public API says of them. Pure.

| theirs | here |
|---|---|
| function, its `id` | function, its name |
| `version`, its `id` | version, its number |
| instance (`insert-function-instances`), its `id` | destination, its name |
| `integrationId` of an instance | the source that it is connected to |
| `resourceType` | always DESTINATION: there are no other functions here |
| `createdBy`, `author` | who the audit names |

What there is none of here is left out: `catalogId`, `previewWebhookUrl`, `batchMaxCount`, which belongs to a destination here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

DESTINATION: Final = "DESTINATION"
SECRET: Final = "********"  # noqa: S105  what is shown instead of one
_UNNAMEABLE: Final = re.compile(r"[/\x00-\x1f\x7f]")
NAME_CHARS_MAX: Final = 120


def name_of(display_name: str, number: int = 1) -> str:
    """A function's name of its display name; the `number`th if earlier ones are taken."""
    suffix = f" {number}" if number > 1 else ""
    return _UNNAMEABLE.sub("-", display_name)[: NAME_CHARS_MAX - len(suffix)] + suffix


def list_item(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `function.list`."""
    return {
        "id": row["name"],
        "resourceType": DESTINATION,
        "createdAt": row["created"],
        "createdBy": row["author"],
        "displayName": row["display_name"],
        "description": row["description"],
        "logoUrl": row["logo_url"],
    }


def function(shown: dict[str, Any]) -> dict[str, Any]:
    """What `function.show` says of the newest version."""
    versions = {row["version"]: row for row in shown["versions"]}
    deployed = versions.get(shown["deployed"])
    return {
        "id": shown["name"],
        "resourceType": DESTINATION,
        "createdAt": versions[1]["created"],
        "createdBy": versions[1]["author"],
        "code": shown["code"],
        "deployedAt": deployed["deployed"] if deployed is not None else None,
        "settings": shown["settings"] or [],
        "displayName": shown["display_name"],
        "description": shown["description"],
        "logoUrl": shown["logo_url"],
        "isLatestVersion": shown["deployed"] == max(versions),
    }


def version(shown: dict[str, Any]) -> dict[str, Any]:
    """What `function.show` says of the version that was asked for."""
    row = next(row for row in shown["versions"] if row["version"] == shown["version"])
    told = {
        "id": str(shown["version"]),
        "author": row["author"],
        "code": shown["code"],
        "isDeployed": shown["deployed"] == shown["version"],
        "createdAt": row["created"],
        "updatedAt": row["created"],
    }
    return {**told, "deployedAt": row["deployed"]} if row["deployed"] is not None else told


def instance(shown: dict[str, Any]) -> dict[str, Any]:
    """What `destination.show` says."""
    set_ = [row for row in shown["settings"] if row["is_set"]]
    return {
        "id": shown["name"],
        "name": shown["name"],
        "integrationId": next(iter(shown["sources"]), ""),
        "classId": shown["function"],
        "enabled": shown["enabled"],
        "createdAt": shown["created"],
        "updatedAt": shown["changed"],
        "settings": {row["name"]: row["value"] for row in set_ if not row["sensitive"]},
        "encryptedSettings": {row["name"]: SECRET for row in set_ if row["sensitive"]},
    }


def preview(results: list[dict[str, Any]], *, is_batch: bool, at: str, session_id: str) -> dict[str, Any]:
    """What `test` says of one event, or of a batch."""
    logs = [{"message": line["message"], "created_at": at} for result in results for line in result["logs"]]
    outputs = [result["result"] for result in results]
    failed = [result["error"] for result in results if not result["ok"]]
    errors = {"errors": failed} if failed else {}
    return {
        "invoke": {
            "success": not failed,
            "output": json.dumps(outputs) if is_batch else outputs[0] or "",
            "trace": {
                "name": "invoke",
                "time": at,
                "duration": f"{max(result['duration_ms'] for result in results) / 1000:.3f}s",
                **errors,
            },
        },
        "logs": logs,
        "session_id": session_id,
    }
