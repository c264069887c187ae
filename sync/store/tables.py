"""The tables (design.md 6). All times are epoch seconds. No table holds content: no subject, body, name or address;
Message-IDs and addresses are keyed hashes, and what must be read again (mailbox address, tokens) is encrypted."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

REVISION = "0002"  # the newest migration

Json = sa.JSON(none_as_null=True)

# When a mailbox is to be looked at, said once: an index answers `due` and `next_wake`, and they cannot differ.
_WANTED = "CASE WHEN lease_owner IS NOT NULL THEN lease_until WHEN dirty > handled THEN 0 ELSE next_due END"
DUE_AT = (
    f"CASE WHEN status IN ('new', 'active') THEN"
    f" CASE WHEN {_WANTED} > not_before THEN {_WANTED} ELSE not_before END END"
)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False, server_default="0")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("hash_key", sa.Text, nullable=False),  # encrypted
    sa.Column("created_at", sa.Double, nullable=False),
)

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("settings", Json, nullable=False),
    sa.Column("secrets", sa.Text, nullable=False),  # encrypted JSON
    sa.Column("digest", sa.Text, nullable=False),  # keyed hash of the secrets: tells a change without decrypting
    sa.Column("status", sa.Text, nullable=False, server_default="active"),
    sa.Column("status_reason", sa.Text),
    _time("feed_due"),  # when to ask for changed items next
)

policy = sa.Table(
    "policy",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("options", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("crm_connection_id", sa.ForeignKey("connection.id"), nullable=False),
    sa.Column("mail_connection_id", sa.ForeignKey("connection.id"), nullable=False),
)

mailbox = sa.Table(
    "mailbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("policy_id", sa.ForeignKey("policy.id"), nullable=False, index=True),
    sa.Column("address_hash", sa.Text, nullable=False, unique=True),
    sa.Column("address_enc", sa.Text, nullable=False),
    sa.Column("crm_user_enc", sa.Text),
    sa.Column("token_enc", sa.Text),
    sa.Column("status", sa.Text, nullable=False, server_default="new"),  # new, active, parked, disabled
    sa.Column("status_reason", sa.Text),
    _count("dirty"),  # wakes so far
    _count("handled"),  # those that a finished look covers
    _count("urgent"),  # the last wake for which a person waits
    sa.Column("lease_owner", sa.Text),
    _time("lease_until"),
    _count("fence"),
    _time("next_due"),
    _time("not_before"),
    sa.Column("swept_at", sa.Double),
    sa.Column("synced_at", sa.Double),
    sa.Column("crm_user_id", sa.Text, index=True),  # of the CRM user, once a match found it
    sa.Column("due_at", sa.Double, sa.Computed(DUE_AT, persisted=True), index=True),
)

cursor = sa.Table(
    "cursor",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),  # "mailbox:12"
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

label = sa.Table(
    "label",
    metadata,
    sa.Column("mailbox_id", sa.ForeignKey("mailbox.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("remote_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)

filing = sa.Table(  # one per mail and target for the whole organisation
    "filing",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("connection_id", sa.ForeignKey("connection.id"), nullable=False),
    sa.Column("message_key", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="planned"),  # planned, sent, done, parked
    sa.Column("reason", sa.Text),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("claimed_by", sa.Text),
    _time("claim_until"),
    sa.Column("sent_at", sa.Double),
    sa.Column("records", Json),
    sa.Column("users", Json),
    sa.Column("trace", Json),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("done_at", sa.Double),
    sa.UniqueConstraint("connection_id", "message_key", "target"),
    sa.Index(None, "message_key"),
    sa.Index(None, "claimed_by"),
)

sighting = sa.Table(  # one per copy of a mail in a mailbox: the intent
    "sighting",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("mailbox_id", sa.ForeignKey("mailbox.id"), nullable=False),
    sa.Column("remote_id", sa.Text, nullable=False),
    sa.Column("thread", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("labels", Json, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("rank", sa.SmallInteger, nullable=False),  # 0: a person waits; 1: all others
    sa.Column("filing_id", sa.ForeignKey("filing.id"), index=True),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),  # open, decided, settled
    sa.Column("outcome", sa.Text),  # done, missing, parked, withdrawn, gone
    sa.Column("reason", sa.Text),
    _count("attempts"),
    _time("not_before"),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("settled_at", sa.Double),
    sa.Column("calls", Json),
    sa.UniqueConstraint("mailbox_id", "remote_id", "target"),
    sa.Index(None, "state", "mailbox_id", "rank", "created_at", "id"),  # claim, decided, pending, status
    sa.Index(None, "outcome", "mailbox_id"),  # parked
)

creation = sa.Table(  # so that two workers never create the same person or account at once
    "creation",
    metadata,
    sa.Column("connection_id", sa.ForeignKey("connection.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key_hash", sa.Text, primary_key=True),
    sa.Column("filing_id", sa.ForeignKey("filing.id"), nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False, server_default="claimed"),  # claimed, done
    sa.Column("remote_id", sa.Text),
    _time("claim_until"),
)

item = sa.Table(  # one per mailbox and module item: its Assign To leaf and its summary; never deleted, so numbers stay
    "item",
    metadata,
    sa.Column("mailbox_id", sa.ForeignKey("mailbox.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # the [index] of the leaf
    sa.Column("state", sa.Text, nullable=False, server_default="active"),  # active, closed, gone
    sa.Column("leaf_id", sa.Text),
    sa.Column("leaf_digest", sa.Text),
    sa.Column("note_id", sa.Text),
    sa.Column("note_digest", sa.Text),
    sa.Column("version", sa.Text),  # that of the item when leaf and note were last made true
    sa.Column("due", sa.Boolean, nullable=False, server_default=sa.true()),
    _count("attempts"),
    _time("not_before"),
    _time("active_at"),  # of the item: the latest active come first
    sa.Column("closed_at", sa.Double),
    _count("touches"),
    sa.UniqueConstraint("mailbox_id", "kind", "number"),
    sa.Index(None, "mailbox_id", "due"),
    sa.Index(None, "record_id"),
)

follow = sa.Table(  # a conversation of a mailbox, and where its later mails go
    "follow",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("mailbox_id", sa.ForeignKey("mailbox.id"), nullable=False),
    sa.Column("thread", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False, index=True),
    sa.Column("subject_hash", sa.Text, nullable=False),
    sa.Column("filing_id", sa.ForeignKey("filing.id"), index=True),  # the filing by hand that began it
    sa.Column("state", sa.Text, nullable=False, server_default="live"),  # live, ended
    sa.Column("reason", sa.Text),  # why it ended: stopped, redirected, closed, undone, off
    sa.Column("scanned", sa.Boolean, nullable=False, server_default=sa.false()),  # mails there already were looked at
    _count("mails"),  # known of the thread
    _time("since"),  # arrival of the mail that began it
    sa.Column("created_at", sa.Double, nullable=False),
    sa.UniqueConstraint("mailbox_id", "thread", "target"),
    sa.Index(None, "mailbox_id", "state"),
)

# every encrypted column, for the rotation of keys
ENCRYPTED: tuple[sa.Column[str], ...] = (
    installation.c.hash_key,
    connection.c.secrets,
    mailbox.c.address_enc,
    mailbox.c.crm_user_enc,
    mailbox.c.token_enc,
)
