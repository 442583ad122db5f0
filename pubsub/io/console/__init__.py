"""The web console: what an operator looks at, in a browser, served by the gateway itself."""
