"""The shell of publish/subscribe: the ASGI gateway, server-sent events and the client."""
