import uuid


async def on_track(event, settings):
    # Generate a UUID in the default URL namespace
    url_uuid = uuid.uuid5(uuid.NAMESPACE_URL, "http://google/com/page")
    console.log(url_uuid)

    # Default DNS namespace
    dns_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, "google.com")
    console.log(dns_uuid)
    return str(url_uuid), str(dns_uuid)
