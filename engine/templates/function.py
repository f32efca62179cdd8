"""Sends orders to an API.

Handlers are called with (event, settings): one for each type of event that this function wants.
Try it: engine test function.py
"""

from engine.function import ValidationError, console


def on_track(event, settings):
    """Each thing that a user did."""
    if not event.get("event"):
        raise ValidationError("a track event needs a name")
    name = f"{settings.prefix}.{event['event']}"
    console.log("would send", name)
    return {"name": name, "user": event.get("userId"), "properties": event.get("properties", {})}


def on_identify(event, settings):
    """What is known about a user."""
    return {"name": f"{settings.prefix}.user", "user": event.get("userId"), "traits": event.get("traits", {})}
