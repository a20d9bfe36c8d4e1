"""Sums over facts, earlier profiles, and values an administrator pinned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("party", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "field",
            sa.Text(),
            nullable=False,
            comment="what is summed; empty = facts are counted",
        ),
        sa.Column(
            "day", sa.Integer(), autoincrement=False, nullable=False, comment="since 1970, in UTC"
        ),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False, comment="currency, or the scale of a score"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "party", "kind", "field", "day", "status", "unit", name=op.f("pk_tally")
        ),
    )
    where = sa.text("count = 0")
    op.create_index(
        "ix_tally_empty", "tally", ["party"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("field = 'organization'")
    op.create_index(
        "ix_ref_organization", "ref", ["target"], sqlite_where=where, postgresql_where=where
    )
    op.create_table(
        "earlier_profile",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("built_at", Instant(), nullable=False),
        sa.Column("replaced_at", Instant(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="zstandard over JSON"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earlier_profile")),
    )
    op.create_index(
        "ix_earlier_profile_customer_id", "earlier_profile", ["customer_id", "replaced_at"]
    )
    op.create_table(
        "pin",
        sa.Column(
            "party",
            Key,
            nullable=False,
            comment="follows it to whichever customer it is of",
        ),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("party", "field", name=op.f("pk_pin")),
    )
