"""Small talk: what people say to a chat that asks nothing of a text. Works on words."""

from __future__ import annotations

import re

_SAID = "|".join(
    (
        r"(?:hi|hello|hey|hallo|howdy|greetings)(?: there| mplus| you| everyone| all| again)?",
        r"good (?:morning|afternoon|evening|day|night)|(?:nice|pleased) to meet you|welcome",
        r"(?:many )?(?:thanks|thank you|thx)(?: a lot| so much| very much| again| for (?:that|your help))?",
        r"cheers|ok|okay|alright|all right|yes|yeah|yep|no|nope|cool|great|perfect|awesome|wow|lol|h+m+",
        r"i see|got it|understood|never ?mind",
        r"(?:that'?s|that is|very|sounds) (?:great|good|nice|fine|all|right)",
        r"(?:good)?bye(?: bye)?|see you|who are you|what are you|what(?: i|')s (?:mplus|your name|up)",
        r"how are you(?: today| doing)?|how (?:do you|does this|does mplus) work|are you (?:there|an? \w+)",
        r"what (?:can|do|could) you (?:do|answer|know)(?: for me)?",
        r"what (?:can|should|may) i (?:ask(?: you)?|type)(?: here)?|what can i do here",
        r"help(?: me)?(?: please)?|(?:can|could) you (?:please )?help(?: me)?|i need help",
    )
)
LONGEST = 80
"""Characters; whoever writes more has something to ask."""
_SMALL_TALK = re.compile(
    rf"[^\w/]*(?:(?:{_SAID})(?:\W+|$))+(?:good|fine|nice|sure|please|then)?\W*"
)


def is_small_talk(text: str) -> bool:
    """Whether a text is a greeting, thanks or the like and nothing else: never a question that a text may
    answer, and no word that may be a name in it."""
    said = text.strip().lower().replace("’", "'")
    return len(said) <= LONGEST and _SMALL_TALK.fullmatch(said) is not None
