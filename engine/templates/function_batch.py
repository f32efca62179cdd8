"""Sends events in batches.

`on_batch` gets up to `batch_size` events of any type; the single handlers run when there are too few for a batch.
Try it: engine test function.py
"""

from engine.function import console


def on_batch(events, settings):
    """Return a status for each event, or nothing if all went well."""
    by_type = {}
    for event in events:
        by_type.setdefault(event["type"], []).append(event)
    for kind, group in by_type.items():
        console.log("would send", len(group), kind, "events as", settings.prefix)


def on_track(event, settings):
    """One event alone."""
    on_batch([event], settings)
