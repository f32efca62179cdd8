async def on_batch(events, settings):
    await fetch(
        "https://example-service.com/batch-api",
        method="POST",
        headers={"Content-Type": "application/json"},
        json=events,  # send a JSON array
    )


async def on_track(event, settings):
    await on_batch([event], settings)
