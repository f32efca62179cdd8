"""Listens for track events, and sends some details about them to an external service."""


async def on_track(event):
    await fetch(
        "https://example-service.com/api",
        method="POST",
        headers={"Content-Type": "application/json"},
        json={
            "event_name": event["event"],
            "event_properties": event["properties"],
            "timestamp": event["timestamp"],
        },
    )
