"""What was asked and answered, kept in one private SQLite file of the user's home."""
