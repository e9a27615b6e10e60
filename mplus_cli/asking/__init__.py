"""A question becomes an answer, as typed events. Works on sessions and memories; prints nothing."""
