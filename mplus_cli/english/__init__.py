"""How English questions refer to documents: by their parts, by their titles, and to themselves as books."""
