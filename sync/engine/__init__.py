"""The imperative part: the one loop that pulls, decides, files and settles."""
