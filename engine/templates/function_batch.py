"""Sends events in batches.

`on_batch` gets up to `batch_size` events of any type; the single handlers run when there are too few for a batch.
Try it: engine test function.py
"""

from engine.function import RetryError, console, fetch


def on_batch(events, settings):
    """Return a status for each event, or nothing if all went well."""
    if not settings.get("url"):
        console.log("would send", len(events), "events as", settings.prefix)
        return
    answer = fetch(settings.url, "POST", json={"source": settings.prefix, "events": events})
    if answer.status == 429 or answer.status >= 500:
        raise RetryError(f"the API answered {answer.status}")
    answer.raise_for_status()


def on_track(event, settings):
    """One event alone."""
    on_batch([event], settings)
