"""Rows for a warehouse, in batches: a status an event, so that one bad row costs only itself."""


def on_batch(events, settings):
    statuses = []
    for event in events:
        if event["type"] == "track" and not event.get("properties"):
            statuses.append({"status": 400, "errormessage": "a row without properties"})
        else:
            statuses.append({"status": 200})
    return statuses
