"""Items with their leaves and summaries, followed conversations, and the feed of an organisation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False, server_default="0")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _item() -> None:
    op.create_table(
        "item",
        sa.Column("mailbox_id", sa.Integer),
        sa.Column("kind", sa.Text),
        sa.Column("record_id", sa.Text),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="active"),
        sa.Column("leaf_id", sa.Text),
        sa.Column("leaf_digest", sa.Text),
        sa.Column("note_id", sa.Text),
        sa.Column("note_digest", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("due", sa.Boolean, nullable=False, server_default=sa.true()),
        _count("attempts"),
        _time("not_before"),
        _time("active_at"),
        sa.Column("closed_at", sa.Double),
        _count("touches"),
        sa.PrimaryKeyConstraint("mailbox_id", "kind", "record_id", name=op.f("pk_item")),
        sa.UniqueConstraint("mailbox_id", "kind", "number", name=op.f("uq_item_mailbox_id_kind_number")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_item_mailbox_id")),
    )
    op.create_index(op.f("ix_item_mailbox_id_due"), "item", ["mailbox_id", "due"])
    op.create_index(op.f("ix_item_record_id"), "item", ["record_id"])


def _follow() -> None:
    op.create_table(
        "follow",
        sa.Column("id", sa.Integer),
        sa.Column("mailbox_id", sa.Integer, nullable=False),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("subject_hash", sa.Text, nullable=False),
        sa.Column("filing_id", sa.Integer),
        sa.Column("state", sa.Text, nullable=False, server_default="live"),
        sa.Column("reason", sa.Text),
        sa.Column("scanned", sa.Boolean, nullable=False, server_default=sa.false()),
        _count("mails"),
        _time("since"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow")),
        sa.UniqueConstraint("mailbox_id", "thread", "target", name=op.f("uq_follow_mailbox_id_thread_target")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_follow_mailbox_id")),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_follow_filing_id")),
    )
    op.create_index(op.f("ix_follow_mailbox_id_state"), "follow", ["mailbox_id", "state"])
    op.create_index(op.f("ix_follow_filing_id"), "follow", ["filing_id"])
    op.create_index(op.f("ix_follow_target"), "follow", ["target"])


def upgrade() -> None:
    _item()
    _follow()
    op.add_column("mailbox", sa.Column("crm_user_id", sa.Text))
    op.create_index(op.f("ix_mailbox_crm_user_id"), "mailbox", ["crm_user_id"])
    op.add_column("connection", _time("feed_due"))
