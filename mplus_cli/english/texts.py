"""What a question may call the text that it is about."""

TEXT = (
    "(?:book|novel|novella|story|tale|play|poem|essay|memoir|text|document|file|paper|report|article|work"
    "|memory)"
)
"""A pattern, in lower case: "this novel", "chapter 3 of the paper"."""
