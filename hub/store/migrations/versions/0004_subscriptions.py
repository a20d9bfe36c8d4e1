"""Subscriptions: what the hub tells others, and how far each has been told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=True,
            comment="in the order it is told; null until it has a place",
        ),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", Key, nullable=False, comment="a customer, a record, a stream"),
        sa.Column(
            "cause", sa.Text(), nullable=False, comment="the connection behind it; empty = the hub"
        ),
        sa.Column(
            "data", sa.Text(), nullable=False, comment="JSON: ids and names of fields, no values"
        ),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("position", name=op.f("uq_event_position")),
    )
    where = sa.text("position IS NULL")
    op.create_index("ix_event_new", "event", ["id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "subscription",
        sa.Column("name", Key, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "secrets",
            sa.LargeBinary(),
            nullable=False,
            comment="AES-256-GCM over JSON, newest first",
        ),
        sa.Column(
            "types", sa.Text(), nullable=False, comment="JSON: types, or customer.*; empty = all"
        ),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("allow_networks", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("state", sa.Text(), nullable=False, comment="active, paused, disabled"),
        sa.Column(
            "reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column(
            "cursor", sa.BigInteger(), nullable=False, comment="position of the last event told"
        ),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="failed, in a row"
        ),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("next_at", Instant(), nullable=False, comment="nothing is sent before"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_subscription")),
    )
