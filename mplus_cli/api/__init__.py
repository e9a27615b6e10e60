"""mplus in Python: the memories of a library, and the model that reads and answers.

    from mplus_cli import Mplus

    book = Mplus().memory("moonfleet")
    book.read("moonfleet.epub")
    print(book.ask("Who is the sexton?").answer)
    for source in book.find("a locket with a silver chain"):
        print(source.quote)
    book.save("moonfleet.safetensors")

The commands, the server and the MCP server are clients of what is here: they give the same answers, as
the same events. Prints nothing; every failure is an `MplusError`.
"""

from mplus_cli.api.handles import MemoryHandle, Mplus
from mplus_cli.api.loading import LoadedMemory, Loader, silent

__all__ = ["LoadedMemory", "Loader", "MemoryHandle", "Mplus", "silent"]
