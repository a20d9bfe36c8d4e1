"""What rules keep written in other systems, and what people had written for a customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Key

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "kept",
        sa.Column("target", Key, nullable=False, comment="the record that is written"),
        sa.Column("fields", sa.Text(), nullable=False, comment="their canonical paths"),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the values queued last"),
        sa.PrimaryKeyConstraint("target", "fields", name=op.f("pk_kept")),
    )
    where = sa.text("substr(subject, 1, 8) = '@people/'")
    op.create_index(
        "ix_delivery_by_hand",
        "delivery",
        ["cause_ref"],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_by_hand", "delivery")
    op.drop_table("kept")
