"""A try block keeps the function going when a call fails; what must happen anyway stands in finally."""


async def on_track(event, settings):
    attempts = 0
    rate = None
    try:
        attempts += 1
        res = await fetch(f"{settings.endpoint}/rates")
        rate = (await res.json())["rate"]
    except Exception as err:
        console.error("falling back to a rate of 1:", err)
        rate = 1
    finally:
        console.log("asked", attempts, "times")
    return event["properties"]["total"] * rate
