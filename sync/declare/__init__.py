"""The declarative configuration: one YAML file of connections, policies and mailboxes for `mailspan apply`."""

from sync.declare.declaration import Connection, Declaration, MailboxEntry, PolicyEntry, load, loads

__all__ = ["Connection", "Declaration", "MailboxEntry", "PolicyEntry", "load", "loads"]
