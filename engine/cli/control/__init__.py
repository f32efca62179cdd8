"""The nouns: source, function, destination, setting, key, audit. Each with create, list, show, update, remove as far as it has them."""
