"""Adapters to the vendors; every folder has the same file names and knows no other."""
