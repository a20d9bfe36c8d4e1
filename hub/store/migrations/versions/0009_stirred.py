"""What an event said that told of news which only a pull can bring."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column(
        "checkpoint",
        sa.Column("stirred_at", Instant(), comment="when an event last told of news"),
    )
    op.add_column(
        "checkpoint",
        sa.Column(
            "word",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="what it wants to hear again",
        ),
    )


def downgrade() -> None:
    op.drop_column("checkpoint", "word")
    op.drop_column("checkpoint", "stirred_at")
