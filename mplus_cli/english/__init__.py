"""What English questions say: how they refer to documents and their parts, and the kind of answer they ask for."""
