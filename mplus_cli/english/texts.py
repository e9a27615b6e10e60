"""What a question may call the text that it is about."""

TEXT = "(?:book|novel|story|play|text|document|paper|report|article|work|tale|memory)"
"""A pattern, in lower case: "this novel", "chapter 3 of the paper"."""
