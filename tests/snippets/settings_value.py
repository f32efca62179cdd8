async def onTrack(request, settings):
    api_key = settings.apiKey
    # => "super_secret_string"
    return api_key
