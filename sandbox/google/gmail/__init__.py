"""The Gmail API v1; importing this package registers its operations."""

from sandbox.google.gmail import account, filters, history, labels, messages, sending, threads

__all__ = ["account", "filters", "history", "labels", "messages", "sending", "threads"]
