"""The web side and the `mailspan` command; no business rule lives here."""
