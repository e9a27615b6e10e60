"""Gives a truncated PDF the end it lost, so that a reader can find the pages that are there.

Works on bytes alone, by what the objects look like; objects inside compressed streams stay hidden.
"""

import re

_OBJECT = re.compile(rb"(?<![\d.])(\d{1,9})\s+(\d{1,5})\s+obj\b")
_CATALOG = re.compile(rb"/Type\s*/Catalog\b")
_PAGE = re.compile(rb"/Type\s*/Page\b")
_MAX_DICTIONARY = 4096  # bytes of an object in which its type is looked for


def mended(data: bytes) -> bytes:
    """`data` with its last object closed, a trailer, and a page tree if that is lost."""
    catalog = ""
    pages: dict[str, None] = {}
    highest = 0
    starts = list(_OBJECT.finditer(data))
    for index, match in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(data)
        head = data[match.end() : min(end, match.end() + _MAX_DICTIONARY)].split(b"stream", 1)[0]
        name = f"{int(match.group(1))} {int(match.group(2))} R"
        highest = max(highest, int(match.group(1)))
        if _CATALOG.search(head):
            catalog = name
        elif _PAGE.search(head):
            pages[name] = None
    added = ""
    # The page tree is often at the end; pages that were whole are enough to make a new one.
    if not catalog or b"/Pages" not in _types(data):
        kids = " ".join(pages)
        tree, catalog = f"{highest + 1} 0", f"{highest + 2} 0 R"
        added = (
            f"{tree} obj\n<< /Type /Pages /Kids [ {kids} ] /Count {len(pages)} >>\nendobj\n"
            f"{highest + 2} 0 obj\n<< /Type /Catalog /Pages {tree} R >>\nendobj\n"
        )
    trailer = f"trailer\n<< /Size {highest + 3} /Root {catalog} >>\nstartxref\n0\n%%EOF\n"
    return data + b"\nendstream\nendobj\n" + added.encode() + trailer.encode()


def _types(data: bytes) -> set[bytes]:
    return {b"/" + kind for kind in re.findall(rb"/Type\s*/(\w+)", data)}
