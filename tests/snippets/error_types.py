"""The pre-defined errors: the function ran as expected, but the data was not deliverable."""


async def on_group(event):
    if not event["traits"].get("company"):
        raise InvalidEventPayload("Company name is required")


async def on_page(event):
    if not event["properties"].get("pageName"):
        raise ValidationError("Page name is required")


async def on_alias(event):
    raise EventNotSupported("Alias event is not supported")


async def on_track(event):
    try:
        res = await fetch(
            "http://example-service.com/api",
            method="POST",
            headers={"Content-Type": "application/json"},
            json={"event": event},
        )
    except Exception as err:
        # Retry on connection error
        raise RetryError(str(err))
    if res.status >= 500 or res.status == 429:
        # Retry on 5xx and 429s (ratelimits)
        raise RetryError(f"HTTP Status {res.status}")
