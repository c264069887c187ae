"""Installation, connections, policies, mailboxes, cursors, labels, filings, sightings, creations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WANTED = "CASE WHEN lease_owner IS NOT NULL THEN lease_until WHEN dirty > handled THEN 0 ELSE next_due END"
_DUE_AT = (
    f"CASE WHEN status IN ('new', 'active') THEN"
    f" CASE WHEN {_WANTED} > not_before THEN {_WANTED} ELSE not_before END END"
)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False, server_default="0")


def _configuration() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("hash_key", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "connection",
        sa.Column("id", sa.Integer),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("vendor", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="active"),
        sa.Column("status_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("name", name=op.f("uq_connection_name")),
    )
    op.create_table(
        "policy",
        sa.Column("id", sa.Integer),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("crm_connection_id", sa.Integer, nullable=False),
        sa.Column("mail_connection_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
        sa.UniqueConstraint("name", name=op.f("uq_policy_name")),
        sa.ForeignKeyConstraint(["crm_connection_id"], ["connection.id"], name=op.f("fk_policy_crm_connection_id")),
        sa.ForeignKeyConstraint(["mail_connection_id"], ["connection.id"], name=op.f("fk_policy_mail_connection_id")),
    )


def _mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("id", sa.Integer),
        sa.Column("policy_id", sa.Integer, nullable=False),
        sa.Column("address_hash", sa.Text, nullable=False),
        sa.Column("address_enc", sa.Text, nullable=False),
        sa.Column("crm_user_enc", sa.Text),
        sa.Column("token_enc", sa.Text),
        sa.Column("status", sa.Text, nullable=False, server_default="new"),
        sa.Column("status_reason", sa.Text),
        _count("dirty"),
        _count("handled"),
        _count("urgent"),
        sa.Column("lease_owner", sa.Text),
        _time("lease_until"),
        _count("fence"),
        _time("next_due"),
        _time("not_before"),
        sa.Column("swept_at", sa.Double),
        sa.Column("synced_at", sa.Double),
        sa.Column("due_at", sa.Double, sa.Computed(_DUE_AT, persisted=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sa.UniqueConstraint("address_hash", name=op.f("uq_mailbox_address_hash")),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"], name=op.f("fk_mailbox_policy_id")),
    )
    op.create_index(op.f("ix_mailbox_due_at"), "mailbox", ["due_at"])
    op.create_index(op.f("ix_mailbox_policy_id"), "mailbox", ["policy_id"])
    op.create_table(
        "cursor",
        sa.Column("owner", sa.Text),
        sa.Column("stream", sa.Text),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("owner", "stream", name=op.f("pk_cursor")),
    )
    op.create_table(
        "label",
        sa.Column("mailbox_id", sa.Integer),
        sa.Column("key", sa.Text),
        sa.Column("remote_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "key", name=op.f("pk_label")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_label_mailbox_id")),
    )


def _filing() -> None:
    op.create_table(
        "filing",
        sa.Column("id", sa.Integer),
        sa.Column("connection_id", sa.Integer, nullable=False),
        sa.Column("message_key", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="planned"),
        sa.Column("reason", sa.Text),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("claimed_by", sa.Text),
        _time("claim_until"),
        sa.Column("sent_at", sa.Double),
        sa.Column("records", sa.JSON),
        sa.Column("users", sa.JSON),
        sa.Column("trace", sa.JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("done_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filing")),
        sa.UniqueConstraint(
            "connection_id", "message_key", "target", name=op.f("uq_filing_connection_id_message_key_target")
        ),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_filing_connection_id")),
    )
    op.create_index(op.f("ix_filing_message_key"), "filing", ["message_key"])
    op.create_index(op.f("ix_filing_claimed_by"), "filing", ["claimed_by"])
    op.create_table(
        "creation",
        sa.Column("connection_id", sa.Integer),
        sa.Column("kind", sa.Text),
        sa.Column("key_hash", sa.Text),
        sa.Column("filing_id", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="claimed"),
        sa.Column("remote_id", sa.Text),
        _time("claim_until"),
        sa.PrimaryKeyConstraint("connection_id", "kind", "key_hash", name=op.f("pk_creation")),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_creation_connection_id")),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_creation_filing_id")),
    )
    op.create_index(op.f("ix_creation_filing_id"), "creation", ["filing_id"])


def _sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("id", sa.Integer),
        sa.Column("mailbox_id", sa.Integer, nullable=False),
        sa.Column("remote_id", sa.Text, nullable=False),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("archived", sa.Boolean, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("filing_id", sa.Integer),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        _count("attempts"),
        _time("not_before"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("settled_at", sa.Double),
        sa.Column("calls", sa.JSON),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sighting")),
        sa.UniqueConstraint("mailbox_id", "remote_id", "target", name=op.f("uq_sighting_mailbox_id_remote_id_target")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_sighting_mailbox_id")),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_sighting_filing_id")),
    )
    order = ["state", "mailbox_id", "rank", "created_at", "id"]
    op.create_index(op.f("ix_sighting_" + "_".join(order)), "sighting", order)
    op.create_index(op.f("ix_sighting_outcome_mailbox_id"), "sighting", ["outcome", "mailbox_id"])
    op.create_index(op.f("ix_sighting_filing_id"), "sighting", ["filing_id"])


def upgrade() -> None:
    _configuration()
    _mailbox()
    _filing()
    _sighting()
