"""Lossless sync: what keeps systems alike, jobs, certificates, alerts, budgets, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial

revision = "0002"
down_revision = "0001"


def _index_again(name: str, columns: list[str], states: str) -> None:
    """A partial index counts other rows from now on."""
    where = sa.text(f"state IN ({states})")
    op.drop_index(name, table_name="delivery")
    op.create_index(name, "delivery", columns, sqlite_where=where, postgresql_where=where)


STATES = "queued, retry, confirmed, unknown, dead, skipped"
NEW_STATES = "queued, sending, retry, confirmed, unknown, looping, dead, skipped"
OPEN = "state IN ('queued', 'retry', 'sending', 'unknown', 'looping', 'dead')"


def _explain_states(before: str, after: str) -> None:
    """SQLite keeps no comments."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("delivery", "state", comment=after, existing_comment=before)


def upgrade() -> None:
    op.create_table(
        "agreement",
        sa.Column(
            "subject", Key, nullable=False, comment="customer:<id>, or the record copies are of"
        ),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False, comment="JSON: path → value, at, by"),
        sa.Column(
            "revision",
            sa.BigInteger(),
            nullable=False,
            comment="rises with each change of the fields",
        ),
        sa.PrimaryKeyConstraint("subject", "sync", name=op.f("pk_agreement")),
    )
    op.create_table(
        "alert",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="auth, breaker, count-drop, loop, backlog, …"
        ),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "subject", Key, server_default="", nullable=False, comment="a stream or a record"
        ),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(
        "ix_alert_open",
        "alert",
        ["kind", "connection", "subject"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "breaker",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("window_at", Instant(), nullable=False, comment="when counting began"),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("open_until", Instant(), nullable=False, comment="no write is tried before"),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_breaker")),
    )
    op.create_table(
        "budget",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "next_at", Instant(), nullable=False, comment="before it the vendor is not called"
        ),
        sa.Column("window_at", Instant(), nullable=False, comment="when counting began"),
        sa.Column("calls", sa.Integer(), nullable=False, comment="in this window"),
        sa.Column("throttled", sa.Integer(), nullable=False, comment="of them, answered 429"),
        sa.Column("clean", sa.Integer(), nullable=False, comment="windows in a row with few 429"),
        sa.Column(
            "rate_milli",
            sa.BigInteger(),
            nullable=True,
            comment="calls a second × 1000 as adapted; null = as set",
        ),
        sa.Column(
            "day", sa.Text(), nullable=False, comment="ISO date the spending counts for, in UTC"
        ),
        sa.Column("spent", sa.BigInteger(), nullable=False, comment="calls of that day"),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_budget")),
    )
    op.create_table(
        "certificate",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False, comment="survey, tally or scan"),
        sa.Column("source_count", sa.BigInteger(), nullable=False),
        sa.Column("hub_count", sa.BigInteger(), nullable=False),
        sa.Column(
            "missing",
            sa.BigInteger(),
            nullable=False,
            comment="at the source, still not in the hub",
        ),
        sa.Column("stale", sa.BigInteger(), nullable=False, comment="still newer at the source"),
        sa.Column(
            "extra", sa.BigInteger(), nullable=False, comment="still in the hub, gone at the source"
        ),
        sa.Column("repaired", sa.BigInteger(), nullable=False, comment="gaps found and mended"),
        sa.Column("complete", sa.Boolean(), nullable=False, comment="nothing is left unrepaired"),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("began_at", Instant(), nullable=False),
        sa.Column("checked_at", Instant(), nullable=False),
        sa.Column(
            "valid_until", Instant(), nullable=False, comment="as fresh as the stream has to be"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate")),
    )
    op.create_index(
        "ix_certificate_stream", "certificate", ["connection", "stream", "id"], unique=False
    )
    op.create_table(
        "credential",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="AES-256-GCM over JSON: the tokens"
        ),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="rises with each refresh"),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("refreshed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_credential")),
    )
    op.create_table(
        "job",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="resync, reconcile, align, remap"),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column(
            "argument", sa.Text(), nullable=False, comment="JSON: what exactly is to be done"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="open, done, failed, cancelled"),
        sa.Column("cursor", sa.Text(), nullable=True, comment="where the next slice goes on"),
        sa.Column(
            "done", sa.BigInteger(), server_default="0", nullable=False, comment="rows so far"
        ),
        sa.Column("total", sa.BigInteger(), nullable=True, comment="rows in all, where known"),
        sa.Column("result", sa.Text(), server_default="{}", nullable=False, comment="JSON"),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="in a row"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(
        "ix_job_due",
        "job",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_job_open",
        "job",
        ["kind", "connection", "stream", "argument"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_job_stream", "job", ["kind", "connection", "stream", "id"], unique=False)
    op.create_table(
        "mapping_choice",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column(
            "version",
            sa.Text(),
            nullable=True,
            comment="in use from here on; null = the files again",
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mapping_choice")),
    )
    op.create_index(
        "ix_mapping_choice_stream", "mapping_choice", ["connection", "stream", "id"], unique=False
    )
    op.create_table(
        "mirror",
        sa.Column(
            "ref", Key, nullable=False, comment="a record that a sync keeps alike with others"
        ),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("subject", Key, nullable=False, comment="of the agreement it takes part in"),
        sa.Column(
            "base", sa.Text(), nullable=False, comment="JSON: path → value last taken into account"
        ),
        sa.Column("written", sa.Text(), nullable=False, comment="JSON: path → value we last wrote"),
        sa.Column(
            "shown", sa.Text(), nullable=False, comment="JSON: path → what the vendor made of it"
        ),
        sa.Column(
            "gone", sa.Boolean(), nullable=False, comment="deleted there: never created again"
        ),
        sa.PrimaryKeyConstraint("ref", "sync", name=op.f("pk_mirror")),
    )
    op.create_index("ix_mirror_subject", "mirror", ["subject"], unique=False)
    op.create_table(
        "sighting",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ref", Key, nullable=False, comment="seen at the source by a reconciliation"),
        sa.Column("version", Key, nullable=False, comment="empty when the source does not tell"),
        sa.Column(
            "fetched", sa.Boolean(), nullable=False, comment="its content came since it was seen"
        ),
        sa.PrimaryKeyConstraint("job_id", "ref", name=op.f("pk_sighting")),
    )
    op.add_column(
        "checkpoint",
        sa.Column(
            "full_rows",
            sa.BigInteger(),
            nullable=True,
            comment="rows of the read from the beginning under way",
        ),
    )
    op.add_column(
        "delivery", sa.Column("cause_ref", Key, nullable=True, comment="the record behind it")
    )
    op.add_column(
        "delivery",
        sa.Column(
            "sync", sa.Text(), nullable=True, comment="values are those agreed on when it is sent"
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "under_way",
            sa.Text(),
            nullable=True,
            comment="create, update: may be written; tried: a create",
        ),
    )
    op.create_index(
        "ix_delivery_under_way",
        "delivery",
        ["connection", "stream"],
        unique=False,
        sqlite_where=sa.text("under_way IS NOT NULL"),
        postgresql_where=sa.text("under_way IS NOT NULL"),
    )
    op.create_index(
        "ix_delivery_open",
        "delivery",
        ["subject"],
        unique=False,
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["connection", "error"],
        unique=False,
        sqlite_where=sa.text("state = 'retry'"),
        postgresql_where=sa.text("state = 'retry'"),
    )
    op.create_index("ix_delivery_cause_ref", "delivery", ["cause_ref"], unique=False)
    op.create_index("ix_delivery_external_id", "delivery", ["external_id", "done_at"], unique=False)
    op.add_column(
        "history",
        sa.Column(
            "inbox_id",
            sa.BigInteger(),
            nullable=True,
            comment="the event it came with, null for a pull",
        ),
    )
    op.create_index(
        "ix_history_inbox_id",
        "history",
        ["inbox_id"],
        unique=False,
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    op.add_column(
        "raw",
        sa.Column(
            "inbox_id",
            sa.BigInteger(),
            nullable=True,
            comment="the event it came with, null for a pull",
        ),
    )
    op.create_index(
        "ix_quarantine_inbox_id",
        "quarantine",
        ["inbox_id"],
        unique=False,
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    op.create_index(
        "ix_raw_inbox_id",
        "raw",
        ["inbox_id"],
        unique=False,
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    _index_again("ix_delivery_due", ["lane", "id"], "'queued', 'retry', 'sending'")
    _index_again("ix_delivery_gave_up", ["state"], "'dead', 'unknown', 'looping'")
    _explain_states(STATES, NEW_STATES)


def downgrade() -> None:
    _explain_states(NEW_STATES, STATES)
    _index_again("ix_delivery_due", ["lane", "id"], "'queued', 'retry'")
    _index_again("ix_delivery_gave_up", ["state"], "'dead', 'unknown'")
    op.drop_index(
        "ix_quarantine_inbox_id",
        table_name="quarantine",
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_raw_inbox_id",
        table_name="raw",
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    op.drop_column("raw", "inbox_id")
    op.drop_index(
        "ix_history_inbox_id",
        table_name="history",
        sqlite_where=sa.text("inbox_id IS NOT NULL"),
        postgresql_where=sa.text("inbox_id IS NOT NULL"),
    )
    op.drop_column("history", "inbox_id")
    op.drop_index("ix_delivery_external_id", table_name="delivery")
    op.drop_index("ix_delivery_waiting", table_name="delivery")
    op.drop_index("ix_delivery_open", table_name="delivery")
    op.drop_index("ix_delivery_cause_ref", table_name="delivery")
    op.drop_index("ix_delivery_under_way", table_name="delivery")
    op.drop_column("delivery", "under_way")
    op.drop_column("delivery", "sync")
    op.drop_column("delivery", "cause_ref")
    op.drop_column("checkpoint", "full_rows")
    op.drop_table("sighting")
    op.drop_index("ix_mirror_subject", table_name="mirror")
    op.drop_table("mirror")
    op.drop_index("ix_mapping_choice_stream", table_name="mapping_choice")
    op.drop_table("mapping_choice")
    op.drop_index("ix_job_stream", table_name="job")
    op.drop_index(
        "ix_job_open",
        table_name="job",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index(
        "ix_job_due",
        table_name="job",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("job")
    op.drop_table("credential")
    op.drop_index("ix_certificate_stream", table_name="certificate")
    op.drop_table("certificate")
    op.drop_table("budget")
    op.drop_table("breaker")
    op.drop_index(
        "ix_alert_open",
        table_name="alert",
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.drop_table("alert")
    op.drop_table("agreement")
