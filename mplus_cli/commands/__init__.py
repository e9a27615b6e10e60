"""One module per command or group: each parses, calls one core function, and renders the result."""
