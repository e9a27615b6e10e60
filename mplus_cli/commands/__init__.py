"""One module a command or group: each parses, calls one core function, and renders what comes."""
