"""Receiver: what an event is called, how people find it, how long it is kept; who was refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "connection",
        sa.Column(
            "learned", sa.Text(), nullable=False, server_default="{}", comment="JSON: of its sender"
        ),
    )
    op.add_column(
        "inbox",
        sa.Column(
            "type", sa.Text(), nullable=False, server_default="", comment="the vendor's word"
        ),
    )
    op.add_column(
        "inbox",
        sa.Column(
            "expired_at",
            Instant(),
            nullable=True,
            comment="headers and body were dropped; the receipt remains",
        ),
    )
    op.add_column("inbox", sa.Column("hint", sa.Text(), nullable=False, server_default=""))
    op.drop_index("ix_inbox_connection_id", table_name="inbox")
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"])
    op.create_index("ix_inbox_connection_received_at", "inbox", ["connection", "received_at"])
    for name, columns, condition in (
        ("ix_inbox_order_key", ["connection", "order_key"], "order_key IS NOT NULL"),
        ("ix_inbox_aside", ["state", "received_at"], "state IN ('quarantined', 'skipped')"),
        (
            "ix_inbox_over",
            ["connection", "expired_at", "done_at"],
            "state IN ('done', 'skipped')",
        ),
    ):
        where = sa.text(condition)
        op.create_index(name, "inbox", columns, sqlite_where=where, postgresql_where=where)
    _create_refusal()
    _create_listener()


def _create_listener() -> None:
    op.create_table(
        "listener",
        sa.Column("connection", Key, nullable=False),
        sa.Column(
            "cursor", sa.Text(), comment="the adapter's; null where the vendor keeps our place"
        ),
        sa.Column(
            "events", sa.BigInteger(), nullable=False, server_default="0", comment="ever received"
        ),
        sa.Column("heard_at", Instant(), comment="when its line last stood"),
        sa.Column("received_at", Instant(), comment="when something last came"),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_listener")),
    )


def _create_refusal() -> None:
    op.create_table(
        "refusal",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column(
            "connection", Key, nullable=False, comment="or the unknown name somebody asked for"
        ),
        sa.Column("known", sa.Boolean(), nullable=False, comment="there is such a connection"),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False, comment="what may be secret of it is hidden"),
        sa.Column("headers", sa.Text(), nullable=False, comment="JSON, scrubbed"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False, comment="empty when it was not read"),
        sa.Column("body_start", sa.Text(), nullable=False, comment="scrubbed"),
        sa.Column(
            "count", sa.BigInteger(), nullable=False, comment="similar ones, this one included"
        ),
        sa.Column("first_at", Instant(), nullable=False),
        sa.Column("at", Instant(), nullable=False, comment="the last of them"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusal")),
    )
    op.create_index("ix_refusal_connection_at", "refusal", ["connection", "at"])
    op.create_index("ix_refusal_at", "refusal", ["at"])
