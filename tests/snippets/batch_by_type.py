import asyncio
from collections import defaultdict


async def on_batch(events, settings):
    # group events by type
    events_by_type = defaultdict(list)
    for event in events:
        events_by_type[event["type"]].append(event)

    # concurrently process sub-batches of a specific event type
    async def process(kind, group):
        match kind:
            case "track":
                return await _on_track_batch(group, settings)
            case "identify":
                return await _on_identify_batch(group, settings)
            # ...handle other event types here...

    return await asyncio.gather(*(process(kind, group) for kind, group in events_by_type.items()))


async def _on_track_batch(events, settings):
    # handle a batch of track events
    await fetch("https://example-service.com/tracks", method="POST", json=events)
    return len(events)


async def _on_identify_batch(events, settings):
    # handle a batch of identify events
    await fetch("https://example-service.com/people", method="POST", json=events)
    return len(events)
