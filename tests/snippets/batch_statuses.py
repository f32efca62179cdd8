"""Reports a status for each event: only the failed ones are retried."""

import json


def on_batch(events, settings):
    results = []
    for event in events:
        try:
            payload = json.dumps({"id": event["userId"], "email": event["traits"]["email"]})
            results.append({"status": 200 if len(payload) < 1000 else 500})
        except KeyError as missing:
            results.append({"status": 400, "errormessage": f"{missing.args[0]} is missing"})
    return results
