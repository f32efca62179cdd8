async def on_track(event, settings):
    user_id = event.get("userId")

    console.log("User ID is", user_id)

    if not isinstance(user_id, str) or len(user_id) < 8:
        raise ValidationError("User ID is invalid")

    console.log("User ID is valid")
