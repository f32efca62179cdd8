"""Orders for a billing service. Its filter lets only order events pass."""

from engine.function import InvalidEventPayload

SETTINGS = [
    {"label": "API Key", "type": "STRING", "required": True, "sensitive": True},
    {"label": "Currency", "type": "STRING", "description": "what amounts are in if an order doesn't say"},
]


def on_track(event, settings):
    properties = event.get("properties", {})
    total = properties.get("total", properties.get("revenue"))
    if total is None and not properties.get("products"):
        raise InvalidEventPayload("an order without total and products")
    if total is None:
        total = sum(item["price"] * item["quantity"] for item in properties["products"])
    return {
        "authorization": f"Bearer {settings.apiKey}",
        "user": event.get("userId"),
        "amount": round(total, 2),
        "currency": properties.get("currency") or settings.get("currency", "USD"),
    }
