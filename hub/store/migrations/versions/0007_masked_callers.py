"""Accounts and tokens that see phones and mail addresses masked, whatever their role."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for table in ("account", "token"):
        masked: sa.Column[bool] = sa.Column(
            "masked",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="sees phones and mail addresses masked, whatever the role",
        )
        op.add_column(table, masked)
