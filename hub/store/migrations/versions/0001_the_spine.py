"""The spine: connections, inbox, records, customers, outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Instant, Key, Serial

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("name", Key, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False, comment="Argon2id"),
        sa.Column(
            "role", sa.Text(), nullable=False, comment="admin, operator, manager, agent, auditor"
        ),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
    )
    op.create_table(
        "attempt",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column(
            "outcome", sa.Text(), nullable=False, comment="confirmed, or the name of the error"
        ),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_delivery_id"), "attempt", ["delivery_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="ids only, never personal data"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "binding",
        sa.Column("subject", Key, nullable=False, comment="our record, or customer:<id>"),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", Key, nullable=False),
        sa.Column(
            "written", sa.Text(), nullable=False, comment="JSON: canonical fields last written"
        ),
        sa.Column("written_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "connection", "stream", name=op.f("pk_binding")),
        sa.UniqueConstraint(
            "connection",
            "stream",
            "external_id",
            name=op.f("uq_binding_connection_stream_external_id"),
        ),
    )
    op.create_table(
        "checkpoint",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column(
            "rows",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="rows ever received",
        ),
        sa.Column("due_at", Instant(), nullable=False, comment="when the next pull starts"),
        sa.Column("advanced_at", Instant(), nullable=True, comment="when the cursor last moved"),
        sa.Column(
            "completed_at", Instant(), nullable=True, comment="when a pull last reached the end"
        ),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="in a row"),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream", name=op.f("pk_checkpoint")),
    )
    op.create_index("ix_checkpoint_due_at", "checkpoint", ["due_at"], unique=False)
    op.create_table(
        "connection",
        sa.Column("name", Key, nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column(
            "config",
            sa.Text(),
            nullable=False,
            comment="JSON without secrets; env:NAME stays as written",
        ),
        sa.Column("secrets", sa.LargeBinary(), nullable=True, comment="AES-256-GCM over JSON"),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column(
            "reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column("managed_by", sa.Text(), server_default="file", nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("checked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_connection")),
    )
    op.create_table(
        "customer",
        sa.Column("id", Key, nullable=False),
        sa.Column("merged_into", Key, nullable=True, comment="redirects for ever"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
    )
    op.create_index(
        "ix_customer_merged_into",
        "customer",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into IS NOT NULL"),
        sqlite_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_table(
        "decision",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column(
            "verb", sa.Text(), nullable=False, comment="new, match, merge, split, confirm, reject"
        ),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("other_id", Key, nullable=True, comment="the customer merged away, or split off"),
        sa.Column("a", Key, nullable=True, comment="party record, for confirm and reject"),
        sa.Column("b", Key, nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index(
        "ix_decision_a",
        "decision",
        ["a"],
        unique=False,
        postgresql_where=sa.text("a IS NOT NULL"),
        sqlite_where=sa.text("a IS NOT NULL"),
    )
    op.create_index(
        "ix_decision_b",
        "decision",
        ["b"],
        unique=False,
        postgresql_where=sa.text("b IS NOT NULL"),
        sqlite_where=sa.text("b IS NOT NULL"),
    )
    op.create_index("ix_decision_customer_id", "decision", ["customer_id"], unique=False)
    op.create_index(
        "ix_decision_other_id",
        "decision",
        ["other_id"],
        unique=False,
        postgresql_where=sa.text("other_id IS NOT NULL"),
        sqlite_where=sa.text("other_id IS NOT NULL"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="idempotency key"),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("subject", Key, nullable=False, comment="whose copy is written"),
        sa.Column("order_key", Key, nullable=False),
        sa.Column("lane", Key, nullable=False),
        sa.Column("fields", sa.Text(), nullable=False, comment="JSON: canonical fields to write"),
        sa.Column(
            "cause",
            sa.Text(),
            nullable=False,
            comment="JSON: rule or person, and the record behind it",
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="queued, retry, confirmed, unknown, dead, skipped",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("available_at", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("external_id", Key, nullable=True, comment="what the vendor called the result"),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("key", name=op.f("uq_delivery_key")),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'retry')"),
        postgresql_where=sa.text("state IN ('queued', 'retry')"),
    )
    op.create_index(
        "ix_delivery_gave_up",
        "delivery",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('dead', 'unknown')"),
        postgresql_where=sa.text("state IN ('dead', 'unknown')"),
    )
    op.create_index("ix_delivery_subject", "delivery", ["subject"], unique=False)
    op.create_table(
        "history",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("ref", Key, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("replaced_at", Instant(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="zstandard over JSON"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index("ix_history_ref", "history", ["ref", "id"], unique=False)
    op.create_table(
        "identifier",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("value", Key, nullable=False, comment="normalised"),
        sa.Column("ref", Key, nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="of the party record"),
        sa.Column(
            "name_key",
            sa.Text(),
            nullable=False,
            comment="of the party's name; empty when nameless",
        ),
        sa.PrimaryKeyConstraint("type", "value", "ref", name=op.f("pk_identifier")),
    )
    op.create_index("ix_identifier_ref", "identifier", ["ref"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("order_key", Key, nullable=True),
        sa.Column("lane", Key, nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="received, retry, done, quarantined, skipped",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("available_at", Instant(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False, comment="JSON, scrubbed"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("connection", "event_id", name=op.f("uq_inbox_connection_event_id")),
    )
    op.create_index("ix_inbox_connection_id", "inbox", ["connection", "id"], unique=False)
    op.create_index(
        "ix_inbox_due",
        "inbox",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('received', 'retry')"),
        postgresql_where=sa.text("state IN ('received', 'retry')"),
    )
    op.create_table(
        "lease",
        sa.Column("name", Key, nullable=False),
        sa.Column(
            "lane",
            sa.Text(),
            nullable=True,
            comment="in or out when the lease is a lane's, else null",
        ),
        sa.Column("connection", sa.Text(), nullable=True, comment="of a lane"),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column(
            "token",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="fences late writers",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "mapping",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="the effective mapping"),
        sa.Column("first_used_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_mapping")),
    )
    op.create_table(
        "profile",
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False, comment="names in lower case and in pinyin"),
        sa.Column("document", sa.Text(), nullable=False, comment="profiles.Profile as JSON"),
        sa.Column("built_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_profile")),
    )
    op.create_index("ix_profile_built_at", "profile", ["built_at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_profile_search", "profile", ["search", "built_at", "customer_id"])
    op.create_table(
        "quarantine",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column(
            "inbox_id",
            sa.BigInteger(),
            nullable=True,
            comment="the event it came with, null for a pull",
        ),
        sa.Column(
            "digest", sa.Text(), nullable=False, comment="of the row: the same fault is kept once"
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("mapping_version", sa.Text(), server_default="", nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            server_default="held",
            nullable=False,
            comment="held, replayed, skipped",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint(
            "connection", "stream", "digest", name=op.f("uq_quarantine_connection_stream_digest")
        ),
    )
    op.create_table(
        "raw",
        sa.Column("ref", Key, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column(
            "hash", sa.LargeBinary(), nullable=False, comment="of the payload; equal = no work"
        ),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False, comment="received, or begun to be fetched"),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_raw")),
    )
    op.create_table(
        "record",
        sa.Column("ref", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False, comment="the canonical record as JSON"),
        sa.Column(
            "occurred_at", Instant(), nullable=False, comment="1970 when the source does not tell"
        ),
        sa.Column("is_open", sa.Boolean(), nullable=False, comment="a matter still to be settled"),
        sa.Column("mapping_version", sa.Text(), nullable=False),
        sa.Column("parent", Key, nullable=False, comment="the raw row it was cut from"),
        sa.Column(
            "party",
            Key,
            nullable=True,
            comment="the party record it belongs to; a party belongs to itself",
        ),
        sa.Column("saved_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_record")),
    )
    op.create_index(
        "ix_record_open",
        "record",
        ["party"],
        unique=False,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index("ix_record_parent", "record", ["parent"], unique=False)
    op.create_index(
        "ix_record_party_kind_occurred_at", "record", ["party", "kind", "occurred_at"], unique=False
    )
    op.create_table(
        "ref",
        sa.Column("source", Key, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("target", Key, nullable=False),
        sa.Column(
            "rank",
            sa.SmallInteger(),
            nullable=True,
            comment="order in which it may name the party; null = never",
        ),
        sa.PrimaryKeyConstraint("source", "field", name=op.f("pk_ref")),
    )
    op.create_index("ix_ref_target", "ref", ["target"], unique=False)
    op.create_table(
        "seen",
        sa.Column("party", Key, nullable=False),
        sa.Column(
            "place", sa.Text(), nullable=False, comment="the table that holds bytes about the party"
        ),
        sa.Column("row", Key, nullable=False),
        sa.PrimaryKeyConstraint("party", "place", "row", name=op.f("pk_seen")),
    )
    op.create_table(
        "token",
        sa.Column(
            "digest", sa.Text(), nullable=False, comment="SHA-256 of the token; itself shown once"
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_token")),
        sa.UniqueConstraint("name", name=op.f("uq_token_name")),
    )
    op.create_table(
        "link",
        sa.Column("ref", Key, nullable=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_link_customer_id")),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_link")),
    )
    op.create_index("ix_link_customer_id", "link", ["customer_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_link_customer_id", table_name="link")
    op.drop_table("link")
    op.drop_table("token")
    op.drop_table("seen")
    op.drop_index("ix_ref_target", table_name="ref")
    op.drop_table("ref")
    op.drop_index("ix_record_party_kind_occurred_at", table_name="record")
    op.drop_index("ix_record_parent", table_name="record")
    op.drop_index(
        "ix_record_open",
        table_name="record",
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.drop_table("record")
    op.drop_table("raw")
    op.drop_table("quarantine")
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_profile_search", table_name="profile")
    op.drop_index("ix_profile_built_at", table_name="profile")
    op.drop_table("profile")
    op.drop_table("mapping")
    op.drop_table("lease")
    op.drop_index(
        "ix_inbox_due",
        table_name="inbox",
        sqlite_where=sa.text("state IN ('received', 'retry')"),
        postgresql_where=sa.text("state IN ('received', 'retry')"),
    )
    op.drop_index("ix_inbox_connection_id", table_name="inbox")
    op.drop_table("inbox")
    op.drop_index("ix_identifier_ref", table_name="identifier")
    op.drop_table("identifier")
    op.drop_index("ix_history_ref", table_name="history")
    op.drop_table("history")
    op.drop_index("ix_delivery_subject", table_name="delivery")
    op.drop_index(
        "ix_delivery_gave_up",
        table_name="delivery",
        sqlite_where=sa.text("state IN ('dead', 'unknown')"),
        postgresql_where=sa.text("state IN ('dead', 'unknown')"),
    )
    op.drop_index(
        "ix_delivery_due",
        table_name="delivery",
        sqlite_where=sa.text("state IN ('queued', 'retry')"),
        postgresql_where=sa.text("state IN ('queued', 'retry')"),
    )
    op.drop_table("delivery")
    op.drop_index(
        "ix_decision_other_id",
        table_name="decision",
        postgresql_where=sa.text("other_id IS NOT NULL"),
        sqlite_where=sa.text("other_id IS NOT NULL"),
    )
    op.drop_index("ix_decision_customer_id", table_name="decision")
    op.drop_index(
        "ix_decision_b",
        table_name="decision",
        postgresql_where=sa.text("b IS NOT NULL"),
        sqlite_where=sa.text("b IS NOT NULL"),
    )
    op.drop_index(
        "ix_decision_a",
        table_name="decision",
        postgresql_where=sa.text("a IS NOT NULL"),
        sqlite_where=sa.text("a IS NOT NULL"),
    )
    op.drop_table("decision")
    op.drop_index(
        "ix_customer_merged_into",
        table_name="customer",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
        sqlite_where=sa.text("merged_into IS NOT NULL"),
    )
    op.drop_table("customer")
    op.drop_table("connection")
    op.drop_index("ix_checkpoint_due_at", table_name="checkpoint")
    op.drop_table("checkpoint")
    op.drop_table("binding")
    op.drop_table("audit")
    op.drop_index(op.f("ix_attempt_delivery_id"), table_name="attempt")
    op.drop_table("attempt")
    op.drop_table("account")
