"""Sends orders to an API.

Handlers are called with (event, settings): one for each type of event that this function wants.
Try it: engine test function.py
"""

from engine.function import RetryError, ValidationError, console, fetch


def on_track(event, settings):
    """Each thing that a user did."""
    if not event.get("event"):
        raise ValidationError("a track event needs a name")
    name = f"{settings.prefix}.{event['event']}"
    return send(
        {"name": name, "user": event.get("userId"), "properties": event.get("properties", {})}, settings
    )


def on_identify(event, settings):
    """What is known about a user."""
    traits = event.get("traits", {})
    return send({"name": f"{settings.prefix}.user", "user": event.get("userId"), "traits": traits}, settings)


def send(payload, settings):
    """To the API, if its `url` is set (in function.toml, say)."""
    if not settings.get("url"):
        console.log("would send", payload["name"])
        return payload
    answer = fetch(settings.url, "POST", json=payload)
    if answer.status == 429 or answer.status >= 500:
        raise RetryError(f"the API answered {answer.status}")
    answer.raise_for_status()
    return payload
