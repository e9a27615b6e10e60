"""English questions: how they name documents and their parts, and what kind of answer they ask for."""
