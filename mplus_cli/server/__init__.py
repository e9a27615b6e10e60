"""mplus for other programs: HTTP for any client, a page for a browser, MCP for assistants.

All of them are thin clients of `mplus_cli.api`. Prints nothing.
"""
