"""Matching: evidence, the keys it is found by, doubts for people, weights that were learned."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial, to_us

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("ref", Key, nullable=False, comment="a party record"),
        sa.Column(
            "traits",
            sa.Text(),
            nullable=False,
            comment="JSON: what it is matched by, in one spelling",
        ),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_evidence")),
    )
    op.create_table(
        "holder",
        sa.Column(
            "key", sa.BigInteger(), nullable=False, comment="hash of what records meet under"
        ),
        sa.Column("claimed", sa.Boolean(), nullable=False),
        sa.Column("ref", Key, nullable=False, comment="a party record under the key"),
        sa.PrimaryKeyConstraint("key", "claimed", "ref", name=op.f("pk_holder")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "review",
        sa.Column("a", Key, nullable=False, comment="two party records a person should look at"),
        sa.Column("b", Key, nullable=False),
        sa.Column(
            "bits",
            sa.Float(),
            nullable=False,
            comment="log2 of the odds that they are one customer",
        ),
        sa.Column("weights", sa.Text(), nullable=False, comment="version"),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("a", "b", name=op.f("pk_review")),
    )
    op.create_index("ix_review_b", "review", ["b"])
    op.create_index("ix_review_bits", "review", ["bits", "a", "b"])
    op.create_table(
        "weights",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("version", sa.Text(), nullable=False, comment="equal for equal weights"),
        sa.Column("document", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="learned from so many"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_weights")),
    )
    for name, told in (("why", "in the words of a person"), ("weights", "version")):
        op.add_column(
            "decision",
            sa.Column(name, sa.Text(), server_default="", nullable=False, comment=told),
        )
    for name in ("kind", "name_key"):
        op.drop_column("identifier", name)
    _ask_for_a_rerun()


def _ask_for_a_rerun() -> None:
    """Whoever is there already has no evidence yet: a job stores it, and decides anew."""
    job = sa.table(
        "job",
        *(
            sa.column(name)
            for name in ("kind", "connection", "stream", "argument", "state", "actor")
        ),
        *(sa.column(name) for name in ("due_at", "created_at")),
    )
    now = to_us(datetime.now(UTC))
    words = [sa.literal(text) for text in ("rerun", "", "", "{}", "open", "hub")]
    link = sa.table("link", sa.column("ref"))
    somebody = sa.exists(sa.select(sa.literal(1)).select_from(link))
    instants = [sa.literal(now, sa.BigInteger()), sa.literal(now, sa.BigInteger())]
    op.execute(
        job.insert().from_select(
            [column.name for column in job.c], sa.select(*words, *instants).where(somebody)
        )
    )
