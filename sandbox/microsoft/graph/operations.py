"""Loads every module that registers operations."""

from sandbox.microsoft.graph import (
    attachments,
    categories,
    delta,
    folders,
    messages,
    sending,
    subscriptions,
    users,
)

__all__ = ["attachments", "categories", "delta", "folders", "messages", "sending", "subscriptions", "users"]
