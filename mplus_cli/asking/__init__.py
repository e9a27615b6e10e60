"""A question becomes an answer, as typed events. Knows sessions and memories; prints nothing."""
