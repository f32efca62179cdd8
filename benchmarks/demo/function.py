"""Maps shop events to what an analytics API expects. What a function of yours could look like."""

import hashlib
from datetime import datetime

from engine.function import DropEvent, RetryError, ValidationError, cache, console, fetch

CURRENCIES = {"USD": 1.0, "EUR": 1.08, "GBP": 1.27}


def hash_email(email):
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


async def base(event, settings):
    when = datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
    zone = event["context"].get("timezone")
    return {
        "project": settings.project,
        "user": event.get("userId") or event["anonymousId"],
        "time_ms": int(when.timestamp() * 1000),
        "country": await cache.load(f"country:{zone}", 60_000, lambda: country_of(zone)),
    }


def country_of(zone):
    console.log("looking up", zone)
    return {"Europe/Berlin": "DE", "America/New_York": "US"}.get(zone, "unknown")


async def post(settings, payload):
    headers = {"Authorization": f"Bearer {settings.key}"}
    answer = await fetch(settings.api, method="POST", json=payload, headers=headers)
    if answer.status == 429 or answer.status >= 500:
        raise RetryError(f"the API answered {answer.status}")
    answer.raise_for_status()


async def on_track(event, settings):
    properties = event.get("properties", {})
    if event["event"] == "Order Completed":
        rate = CURRENCIES.get(properties.get("currency", "USD"))
        if rate is None:
            raise ValidationError(f"unknown currency {properties['currency']}")
        revenue = round(sum(item["price"] * item["quantity"] for item in properties["products"]) * rate, 2)
        return await post(
            settings,
            {
                **await base(event, settings),
                "name": "order",
                "revenue": revenue,
                "items": len(properties["products"]),
            },
        )
    if properties.get("price", 1) > settings.get("price_max", 10_000):
        raise ValidationError("a price that can't be right")
    return await post(
        settings,
        {
            **await base(event, settings),
            "name": event["event"].lower().replace(" ", "_"),
            "properties": properties,
        },
    )


async def on_identify(event, settings):
    traits = event.get("traits", {})
    if "@" not in traits.get("email", ""):
        raise ValidationError("a user without an email address")
    return await post(
        settings,
        {
            **await base(event, settings),
            "name": "user",
            "email_hash": hash_email(traits["email"]),
            "plan": traits.get("plan"),
        },
    )


async def on_page(event, settings):
    if event.get("name") == "Home":
        raise DropEvent("the home page says nothing")
    return await post(
        settings, {**await base(event, settings), "name": "page_view", "page": event.get("name")}
    )


async def on_group(event, settings):
    return await post(
        settings, {**await base(event, settings), "name": "company", "company": event["groupId"]}
    )
