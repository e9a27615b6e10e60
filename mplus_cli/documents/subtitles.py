"""Subtitles (SRT, WebVTT) as prose: the spoken text without numbers and times. Does no I/O."""

import re

_TIMES = re.compile(
    r"\s*(?:\d{1,3}:)?\d{1,2}:\d\d[.,]\d{1,3}\s*-->\s*(?:\d{1,3}:)?\d{1,2}:\d\d[.,]\d{1,3}\b.*"
)
_TAG = re.compile(r"<[^<>\n]{0,200}>|\{[^{}\n]{0,200}\}")
_TERMINAL = re.compile(r"[.!?…。！？][\"'”’»)\]]*\Z")


def subtitle_text(text: str) -> str | None:
    """The spoken text, one or more sentences a line; None if there are no times in it."""
    said: list[str] = []
    timed = False
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        at = next((index for index, line in enumerate(lines[:2]) if _TIMES.fullmatch(line)), None)
        if at is None:  # the head of the file, a note, a style
            continue
        timed = True
        cue = " ".join(_TAG.sub("", " ".join(lines[at + 1 :])).split())
        if cue and (not said or cue != said[-1]):
            said.append(cue)
    if not timed:
        return None
    return "".join(one + ("\n" if _TERMINAL.search(one) else " ") for one in said).strip()
