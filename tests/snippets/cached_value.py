TTL = 5 * 60 * 1000  # 5 minutes


async def get_value():
    async def load():
        res = await fetch("http://echo.jsontest.com/key/value/one/two")
        return await res.json()

    return await cache.load("mycachekey", TTL, load)


async def on_track(event, settings):
    value = await get_value()
    if event["properties"].get("refresh"):
        cache.delete("mycachekey")
    return value
