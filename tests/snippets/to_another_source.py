"""Sends data to another source: without the fields that would take it to the wrong one."""

import base64
import json


def on_track(event, settings):
    event.pop("messageId", None)
    event.pop("writeKey", None)
    auth = base64.b64encode(f"{settings['writeKey']}:".encode()).decode()
    return {"Authorization": f"Basic {auth}"}, json.dumps(event, sort_keys=True)
