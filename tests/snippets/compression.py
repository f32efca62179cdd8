import base64
import zlib


async def on_track(event, settings):
    deflated = zlib.compress("something".encode())
    console.log(base64.b64encode(deflated).decode())
    inflated = zlib.decompress(deflated).decode()
    console.log(inflated)
    console.log("Done")
    return inflated
