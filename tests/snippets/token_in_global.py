"""Fetches an access token from an external API and refreshes it every hour."""

import time

TOKEN_EXPIRE_MS = 60 * 60 * 1000  # 1 hour
token = None


async def get_access_token():
    global token
    now = time.time() * 1000
    if not token or now - token["ts"] > TOKEN_EXPIRE_MS:
        resp = await fetch("https://example.com/tokens", method="POST")
        token = {"ts": now, "value": (await resp.json())["token"]}
    return token["value"]


async def on_track(event):
    return await get_access_token()
