"""Every table, once, for SQLite and PostgreSQL alike.

Instants are whole microseconds since 1970 in UTC, so that both databases compare and index them the
same way. Documents are JSON text. External references are written ``connection/stream/id``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Float,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    literal_column,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def from_us(us: int) -> datetime:
    """The aware instant behind ``to_us``."""
    return EPOCH + timedelta(microseconds=us)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_us(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_us(value)


REFUSED = "auth_failed"
"""State of a connection whose credentials the vendor no longer takes, until a person mended it."""

STOPPED = ("paused", REFUSED)
"""States of a connection in which nothing is asked of the vendor."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# Keys are compared byte by byte on both databases: prefix scans and a stable order need it.
Key = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite gives rising ids only to INTEGER; PostgreSQL wants 64 bits.
Serial = BigInteger().with_variant(Integer(), "sqlite")


def _serial() -> Column[int]:
    return Column("id", Serial, primary_key=True, autoincrement=True)


connection = Table(
    "connection",
    metadata,
    Column("name", Key, primary_key=True),
    Column("adapter", Text, nullable=False),
    Column(
        "config", Text, nullable=False, comment="JSON without secrets; env:NAME stays as written"
    ),
    Column("secrets", LargeBinary, comment="AES-256-GCM over JSON"),
    Column("learned", Text, nullable=False, server_default="{}", comment="JSON: of its sender"),
    Column("state", Text, nullable=False, server_default="new"),
    Column("reason", Text, nullable=False, server_default="", comment="why it is in this state"),
    Column("managed_by", Text, nullable=False, server_default="file"),
    Column("changed_at", Instant, nullable=False),
    Column("checked_at", Instant),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("cursor", Text),
    Column("rows", BigInteger, nullable=False, server_default="0", comment="rows ever received"),
    Column("due_at", Instant, nullable=False, comment="when the next pull starts"),
    Column("advanced_at", Instant, comment="when the cursor last moved"),
    Column("completed_at", Instant, comment="when a pull last reached the end"),
    Column("full_rows", BigInteger, comment="rows of the read from the beginning under way"),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("error", Text, nullable=False, server_default=""),
    Column("stirred_at", Instant, comment="when an event last told of news"),
    Column("word", Text, nullable=False, server_default="", comment="what it wants to hear again"),
    Index("ix_checkpoint_due_at", "due_at"),
)

listener = Table(
    "listener",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("cursor", Text, comment="the adapter's; null where the vendor keeps our place"),
    Column("events", BigInteger, nullable=False, server_default="0", comment="ever received"),
    Column("heard_at", Instant, comment="when its line last stood"),
    Column("received_at", Instant, comment="when something last came"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Key, primary_key=True),
    Column("lane", Text, comment="in or out when the lease is a lane's, else null"),
    Column("connection", Text, comment="of a lane"),
    Column("owner", Text, nullable=False, server_default=""),
    Column("until", Instant, nullable=False),
    Column("token", BigInteger, nullable=False, server_default="0", comment="fences late writers"),
)

_INBOX_PENDING = text("state IN ('received', 'retry')")
_INBOX_ASIDE = text("state IN ('quarantined', 'skipped')")
_INBOX_OVER = text("state IN ('done', 'skipped')")
inbox = Table(
    "inbox",
    metadata,
    _serial(),
    Column("connection", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False, server_default="", comment="the vendor's word"),
    Column("order_key", Key),
    Column("lane", Key, nullable=False),
    Column("state", Text, nullable=False, comment="received, retry, done, quarantined, skipped"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("available_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("headers", Text, nullable=False, comment="JSON, scrubbed"),
    Column("body", LargeBinary, nullable=False),
    Column("expired_at", Instant, comment="headers and body were dropped; the receipt remains"),
    Column("error", Text, nullable=False, server_default=""),
    Column("hint", Text, nullable=False, server_default=""),
    UniqueConstraint("connection", "event_id"),
    Index(
        "ix_inbox_due",
        "lane",
        "id",
        sqlite_where=_INBOX_PENDING,
        postgresql_where=_INBOX_PENDING,
    ),
    # How people look for events: by time, by connection, by record, by what stands still.
    Index("ix_inbox_received_at", "received_at"),
    Index("ix_inbox_connection_received_at", "connection", "received_at"),
    Index(
        "ix_inbox_order_key",
        "connection",
        "order_key",
        sqlite_where=text("order_key IS NOT NULL"),
        postgresql_where=text("order_key IS NOT NULL"),
    ),
    Index(
        "ix_inbox_aside",
        "state",
        "received_at",
        sqlite_where=_INBOX_ASIDE,
        postgresql_where=_INBOX_ASIDE,
    ),
    # Whose bytes are to go next, and then whose receipts.
    Index(
        "ix_inbox_over",
        "connection",
        "expired_at",
        "done_at",
        sqlite_where=_INBOX_OVER,
        postgresql_where=_INBOX_OVER,
    ),
)

refusal = Table(
    "refusal",
    metadata,
    _serial(),
    Column("connection", Key, nullable=False, comment="or the unknown name somebody asked for"),
    Column("known", Boolean, nullable=False, comment="there is such a connection"),
    Column("status", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("remote", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False, comment="what may be secret of it is hidden"),
    Column("headers", Text, nullable=False, comment="JSON, scrubbed"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body_sha256", Text, nullable=False, comment="empty when it was not read"),
    Column("body_start", Text, nullable=False, comment="scrubbed"),
    Column("count", BigInteger, nullable=False, comment="similar ones, this one included"),
    Column("first_at", Instant, nullable=False),
    Column("at", Instant, nullable=False, comment="the last of them"),
    Index("ix_refusal_connection_at", "connection", "at"),
    Index("ix_refusal_at", "at"),
)

quarantine = Table(
    "quarantine",
    metadata,
    _serial(),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("inbox_id", BigInteger, comment="the event it came with, null for a pull"),
    Column("digest", Text, nullable=False, comment="of the row: the same fault is kept once"),
    Column("path", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("mapping_version", Text, nullable=False, server_default=""),
    Column("at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default="held", comment="held, replayed, skipped"),
    UniqueConstraint("connection", "stream", "digest"),
    Index(
        "ix_quarantine_inbox_id",
        "inbox_id",
        sqlite_where=text("inbox_id IS NOT NULL"),
        postgresql_where=text("inbox_id IS NOT NULL"),
    ),
)

raw = Table(
    "raw",
    metadata,
    Column("ref", Key, primary_key=True),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="of the payload; equal = no work"),
    Column("version", Text, nullable=False),
    Column("seen_at", Instant, nullable=False, comment="received, or begun to be fetched"),
    Column("deleted_at", Instant),
    Column("inbox_id", BigInteger, comment="the event it came with, null for a pull"),
    Index(
        "ix_raw_inbox_id",
        "inbox_id",
        sqlite_where=text("inbox_id IS NOT NULL"),
        postgresql_where=text("inbox_id IS NOT NULL"),
    ),
)

history = Table(
    "history",
    metadata,
    _serial(),
    Column("ref", Key, nullable=False),
    Column("version", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("replaced_at", Instant, nullable=False),
    Column("payload", LargeBinary, nullable=False, comment="zstandard over JSON"),
    Column("inbox_id", BigInteger, comment="the event it came with, null for a pull"),
    Index("ix_history_ref", "ref", "id"),
    Index(
        "ix_history_inbox_id",
        "inbox_id",
        sqlite_where=text("inbox_id IS NOT NULL"),
        postgresql_where=text("inbox_id IS NOT NULL"),
    ),
)

record = Table(
    "record",
    metadata,
    Column("ref", Key, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("document", Text, nullable=False, comment="the canonical record as JSON"),
    Column("occurred_at", Instant, nullable=False, comment="1970 when the source does not tell"),
    Column("is_open", Boolean, nullable=False, comment="a matter still to be settled"),
    Column("mapping_version", Text, nullable=False),
    Column("parent", Key, nullable=False, comment="the raw row it was cut from"),
    Column("party", Key, comment="the party record it belongs to; a party belongs to itself"),
    Column("saved_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index("ix_record_party_kind_occurred_at", "party", "kind", "occurred_at"),
    Index("ix_record_parent", "parent"),
    Index(
        "ix_record_open", "party", sqlite_where=text("is_open"), postgresql_where=text("is_open")
    ),
)

_TALLY_EMPTY = text("count = 0")
tally = Table(
    "tally",
    metadata,
    Column("party", Key, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("field", Text, primary_key=True, comment="what is summed; empty = facts are counted"),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="since 1970, in UTC"),
    Column("status", Text, primary_key=True),
    Column("unit", Text, primary_key=True, comment="currency, or the scale of a score"),
    Column("count", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Index("ix_tally_empty", "party", sqlite_where=_TALLY_EMPTY, postgresql_where=_TALLY_EMPTY),
)

_REF_ORGANIZATION = text("field = 'organization'")
ref = Table(
    "ref",
    metadata,
    Column("source", Key, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("target", Key, nullable=False),
    Column("rank", SmallInteger, comment="order in which it may name the party; null = never"),
    Index("ix_ref_target", "target"),
    # Who acts for a company, without the thousands of orders that refer to it as well.
    Index(
        "ix_ref_organization",
        "target",
        sqlite_where=_REF_ORGANIZATION,
        postgresql_where=_REF_ORGANIZATION,
    ),
)

identifier = Table(
    "identifier",
    metadata,
    Column("type", Text, primary_key=True),
    Column("value", Key, primary_key=True, comment="normalised"),
    Column("ref", Key, primary_key=True),
    Column("level", Text, nullable=False),
    Index("ix_identifier_ref", "ref"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("ref", Key, primary_key=True, comment="a party record"),
    Column("traits", Text, nullable=False, comment="JSON: what it is matched by, in one spelling"),
)

holder = Table(
    "holder",
    metadata,
    Column("key", BigInteger, primary_key=True, comment="hash of what records meet under"),
    Column("claimed", Boolean, primary_key=True),
    Column("ref", Key, primary_key=True, comment="a party record under the key"),
    sqlite_with_rowid=False,
)

review = Table(
    "review",
    metadata,
    Column("a", Key, primary_key=True, comment="two party records a person should look at"),
    Column("b", Key, primary_key=True),
    Column("bits", Float, nullable=False, comment="log2 of the odds that they are one customer"),
    Column("weights", Text, nullable=False, comment="version"),
    Column("at", Instant, nullable=False),
    Index("ix_review_b", "b"),
    Index("ix_review_bits", "bits", "a", "b"),
)

weights = Table(
    "weights",
    metadata,
    _serial(),
    Column("version", Text, nullable=False, comment="equal for equal weights"),
    Column("document", Text, nullable=False, comment="JSON"),
    Column("records", BigInteger, nullable=False, comment="learned from so many"),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

customer = Table(
    "customer",
    metadata,
    Column("id", Key, primary_key=True),
    Column("merged_into", Key, comment="redirects for ever"),
    Column("created_at", Instant, nullable=False),
    Index(
        "ix_customer_merged_into",
        "merged_into",
        postgresql_where=text("merged_into IS NOT NULL"),
        sqlite_where=text("merged_into IS NOT NULL"),
    ),
)

link = Table(
    "link",
    metadata,
    Column("ref", Key, primary_key=True),
    Column("customer_id", Key, ForeignKey("customer.id"), nullable=False),
    Index("ix_link_customer_id", "customer_id"),
)

decision = Table(
    "decision",
    metadata,
    _serial(),
    Column("verb", Text, nullable=False, comment="new, match, merge, split, confirm, reject"),
    Column("customer_id", Key, nullable=False),
    Column("other_id", Key, comment="the customer merged away, or split off"),
    Column("a", Key, comment="party record, for confirm and reject"),
    Column("b", Key),
    Column("evidence", Text, nullable=False, comment="JSON"),
    Column("why", Text, nullable=False, server_default="", comment="in the words of a person"),
    Column("weights", Text, nullable=False, server_default="", comment="version"),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_decision_customer_id", "customer_id"),
    Index(
        "ix_decision_other_id",
        "other_id",
        postgresql_where=text("other_id IS NOT NULL"),
        sqlite_where=text("other_id IS NOT NULL"),
    ),
    Index(
        "ix_decision_a",
        "a",
        postgresql_where=text("a IS NOT NULL"),
        sqlite_where=text("a IS NOT NULL"),
    ),
    Index(
        "ix_decision_b",
        "b",
        postgresql_where=text("b IS NOT NULL"),
        sqlite_where=text("b IS NOT NULL"),
    ),
)

profile = Table(
    "profile",
    metadata,
    Column("customer_id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    Column("search", Text, nullable=False, comment="names in lower case and in pinyin"),
    Column("document", Text, nullable=False, comment="profiles.Profile as JSON"),
    Column("built_at", Instant, nullable=False),
    Index("ix_profile_built_at", "built_at"),
    # A name search scans names, not documents. PostgreSQL keeps long documents apart by itself, and
    # limits how long an index row may be.
    Index("ix_profile_search", "search", "built_at", "customer_id").ddl_if(dialect="sqlite"),
)

earlier_profile = Table(
    "earlier_profile",
    metadata,
    _serial(),
    Column("customer_id", Key, nullable=False),
    Column("built_at", Instant, nullable=False),
    Column("replaced_at", Instant, nullable=False),
    Column("document", LargeBinary, nullable=False, comment="zstandard over JSON"),
    Index("ix_earlier_profile_customer_id", "customer_id", "replaced_at"),
)

pin = Table(
    "pin",
    metadata,
    Column("party", Key, primary_key=True, comment="follows it to whichever customer it is of"),
    Column("field", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

binding = Table(
    "binding",
    metadata,
    Column("subject", Key, primary_key=True, comment="our record, or customer:<id>"),
    Column("connection", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("external_id", Key, nullable=False),
    Column("written", Text, nullable=False, comment="JSON: canonical fields last written"),
    Column("written_at", Instant, nullable=False),
    UniqueConstraint("connection", "stream", "external_id"),
)

agreement = Table(
    "agreement",
    metadata,
    Column("subject", Key, primary_key=True, comment="customer:<id>, or the record copies are of"),
    Column("sync", Text, primary_key=True),
    Column("fields", Text, nullable=False, comment="JSON: path → value, at, by"),
    Column("revision", BigInteger, nullable=False, comment="rises with each change of the fields"),
)

mirror = Table(
    "mirror",
    metadata,
    Column("ref", Key, primary_key=True, comment="a record that a sync keeps alike with others"),
    Column("sync", Text, primary_key=True),
    Column("subject", Key, nullable=False, comment="of the agreement it takes part in"),
    Column("base", Text, nullable=False, comment="JSON: path → value last taken into account"),
    Column("written", Text, nullable=False, comment="JSON: path → value we last wrote"),
    Column("shown", Text, nullable=False, comment="JSON: path → what the vendor made of it"),
    Column("gone", Boolean, nullable=False, comment="deleted there: never created again"),
    Index("ix_mirror_subject", "subject"),
)

_OUTBOX_PENDING = text("state IN ('queued', 'retry', 'sending')")
_OUTBOX_OPEN = text("state IN ('queued', 'retry', 'sending', 'unknown', 'looping', 'dead')")
_OUTBOX_WAITING = text("state = 'retry'")
_BY_HAND = text("substr(subject, 1, 8) = '@people/'")
delivery = Table(
    "delivery",
    metadata,
    _serial(),
    Column("key", Text, nullable=False, unique=True, comment="idempotency key"),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("subject", Key, nullable=False, comment="whose copy is written"),
    Column("order_key", Key, nullable=False),
    Column("lane", Key, nullable=False),
    Column("fields", Text, nullable=False, comment="JSON: canonical fields to write"),
    Column("cause", Text, nullable=False, comment="JSON: rule or person, and the record behind it"),
    Column("cause_ref", Key, comment="the record behind it"),
    Column("sync", Text, comment="values are those agreed on when it is sent"),
    Column("under_way", Text, comment="create, update: may be written; tried: a create"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="queued, sending, retry, confirmed, unknown, looping, dead, skipped",
    ),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("available_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("external_id", Key, comment="what the vendor called the result"),
    Column("error", Text, nullable=False, server_default=""),
    Column("hint", Text, nullable=False, server_default=""),
    Index(
        "ix_delivery_due",
        "lane",
        "id",
        sqlite_where=_OUTBOX_PENDING,
        postgresql_where=_OUTBOX_PENDING,
    ),
    Index("ix_delivery_subject", "subject"),
    # What goes on with a record is found without its history, and who waits for one copy without
    # all the others that wait.
    Index(
        "ix_delivery_open",
        "subject",
        sqlite_where=_OUTBOX_OPEN,
        postgresql_where=_OUTBOX_OPEN,
    ),
    Index(
        "ix_delivery_waiting",
        "connection",
        "error",
        sqlite_where=_OUTBOX_WAITING,
        postgresql_where=_OUTBOX_WAITING,
    ),
    Index("ix_delivery_cause_ref", "cause_ref"),
    # What people had written for a customer, without all that syncs write.
    Index("ix_delivery_by_hand", "cause_ref", sqlite_where=_BY_HAND, postgresql_where=_BY_HAND),
    Index("ix_delivery_external_id", "external_id", "done_at"),
    Index(
        "ix_delivery_under_way",
        "connection",
        "stream",
        sqlite_where=text("under_way IS NOT NULL"),
        postgresql_where=text("under_way IS NOT NULL"),
    ),
    Index(
        "ix_delivery_gave_up",
        "state",
        sqlite_where=text("state IN ('dead', 'unknown', 'looping')"),
        postgresql_where=text("state IN ('dead', 'unknown', 'looping')"),
    ),
)

# In words, not in bound values: only so do both databases see that the index of the few pending
# rows serves, instead of reading every row there ever was.
inbox_pending = inbox.c.state.in_([literal_column("'received'"), literal_column("'retry'")])
inbox_aside = inbox.c.state.in_([literal_column("'quarantined'"), literal_column("'skipped'")])
inbox_over = inbox.c.state.in_([literal_column("'done'"), literal_column("'skipped'")])
outbox_pending = delivery.c.state.in_(
    [literal_column("'queued'"), literal_column("'retry'"), literal_column("'sending'")]
)
outbox_by_hand = func.substr(
    delivery.c.subject, literal_column("1"), literal_column("8")
) == literal_column("'@people/'")
acts_for = ref.c.field == literal_column("'organization'")
outbox_waiting = delivery.c.state == literal_column("'retry'")


def outbox_open(deliveries: FromClause = delivery) -> ColumnElement[bool]:
    """Whether they are not over."""
    states = ("queued", "retry", "sending", "unknown", "looping", "dead")
    return deliveries.c.state.in_([literal_column(f"'{state}'") for state in states])


attempt = Table(
    "attempt",
    metadata,
    _serial(),
    Column("delivery_id", BigInteger, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("outcome", Text, nullable=False, comment="confirmed, or the name of the error"),
    Column("error", Text, nullable=False, server_default=""),
)

breaker = Table(
    "breaker",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("window_at", Instant, nullable=False, comment="when counting began"),
    Column("calls", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("open_until", Instant, nullable=False, comment="no write is tried before"),
)

budget = Table(
    "budget",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("next_at", Instant, nullable=False, comment="before it the vendor is not called"),
    Column("window_at", Instant, nullable=False, comment="when counting began"),
    Column("calls", Integer, nullable=False, comment="in this window"),
    Column("throttled", Integer, nullable=False, comment="of them, answered 429"),
    Column("clean", Integer, nullable=False, comment="windows in a row with few 429"),
    Column("rate_milli", BigInteger, comment="calls a second × 1000 as adapted; null = as set"),
    Column("day", Text, nullable=False, comment="ISO date the spending counts for, in UTC"),
    Column("spent", BigInteger, nullable=False, comment="calls of that day"),
)

_JOB_OPEN = text("state = 'open'")
job = Table(
    "job",
    metadata,
    _serial(),
    Column("kind", Text, nullable=False, comment="resync, reconcile, align, remap"),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("argument", Text, nullable=False, comment="JSON: what exactly is to be done"),
    Column("state", Text, nullable=False, comment="open, done, failed, cancelled"),
    Column("cursor", Text, comment="where the next slice goes on"),
    Column("done", BigInteger, nullable=False, server_default="0", comment="rows so far"),
    Column("total", BigInteger, comment="rows in all, where known"),
    Column("result", Text, nullable=False, server_default="{}", comment="JSON"),
    Column("error", Text, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("actor", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    # The same work is not begun twice.
    Index(
        "ix_job_open",
        "kind",
        "connection",
        "stream",
        "argument",
        unique=True,
        sqlite_where=_JOB_OPEN,
        postgresql_where=_JOB_OPEN,
    ),
    Index("ix_job_due", "due_at", sqlite_where=_JOB_OPEN, postgresql_where=_JOB_OPEN),
    Index("ix_job_stream", "kind", "connection", "stream", "id"),
)

sighting = Table(
    "sighting",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("ref", Key, primary_key=True, comment="seen at the source by a reconciliation"),
    Column("version", Key, nullable=False, comment="empty when the source does not tell"),
    Column("fetched", Boolean, nullable=False, comment="its content came since it was seen"),
)

certificate = Table(
    "certificate",
    metadata,
    _serial(),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("method", Text, nullable=False, comment="survey, tally or scan"),
    Column("source_count", BigInteger, nullable=False),
    Column("hub_count", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False, comment="at the source, still not in the hub"),
    Column("stale", BigInteger, nullable=False, comment="still newer at the source"),
    Column("extra", BigInteger, nullable=False, comment="still in the hub, gone at the source"),
    Column("repaired", BigInteger, nullable=False, comment="gaps found and mended"),
    Column("complete", Boolean, nullable=False, comment="nothing is left unrepaired"),
    Column("note", Text, nullable=False, server_default=""),
    Column("began_at", Instant, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False, comment="as fresh as the stream has to be"),
    Index("ix_certificate_stream", "connection", "stream", "id"),
)

_ALERT_OPEN = text("closed_at IS NULL")
alert = Table(
    "alert",
    metadata,
    _serial(),
    Column("kind", Text, nullable=False, comment="auth, breaker, count-drop, loop, backlog, …"),
    Column("connection", Text, nullable=False),
    Column("subject", Key, nullable=False, server_default="", comment="a stream or a record"),
    Column("message", Text, nullable=False),
    Column("hint", Text, nullable=False, server_default=""),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    # Said once, until it is over.
    Index(
        "ix_alert_open",
        "kind",
        "connection",
        "subject",
        unique=True,
        sqlite_where=_ALERT_OPEN,
        postgresql_where=_ALERT_OPEN,
    ),
)

credential = Table(
    "credential",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="AES-256-GCM over JSON: the tokens"),
    Column("version", BigInteger, nullable=False, comment="rises with each refresh"),
    Column("expires_at", Instant),
    Column("refreshed_at", Instant, nullable=False),
)

mapping = Table(
    "mapping",
    metadata,
    Column("version", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False, comment="the effective mapping"),
    Column("first_used_at", Instant, nullable=False),
)

mapping_choice = Table(
    "mapping_choice",
    metadata,
    _serial(),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", Text, comment="in use from here on; null = the files again"),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_mapping_choice_stream", "connection", "stream", "id"),
)

kept = Table(
    "kept",
    metadata,
    Column("target", Key, primary_key=True, comment="the record that is written"),
    Column("fields", Text, primary_key=True, comment="their canonical paths"),
    Column("digest", Text, nullable=False, comment="of the values queued last"),
)

seen = Table(
    "seen",
    metadata,
    Column("party", Key, primary_key=True),
    Column("place", Text, primary_key=True, comment="the table that holds bytes about the party"),
    Column("row", Key, primary_key=True),
)

_EVENT_NEW = text("position IS NULL")
event = Table(
    "event",
    metadata,
    _serial(),
    Column("position", BigInteger, comment="in the order it is told; null until it has a place"),
    Column("type", Text, nullable=False),
    Column("subject", Key, nullable=False, comment="a customer, a record, a stream"),
    Column("cause", Text, nullable=False, comment="the connection behind it; empty = the hub"),
    Column("data", Text, nullable=False, comment="JSON: ids and names of fields, no values"),
    Column("at", Instant, nullable=False),
    UniqueConstraint("position"),
    Index("ix_event_new", "id", sqlite_where=_EVENT_NEW, postgresql_where=_EVENT_NEW),
)

subscription = Table(
    "subscription",
    metadata,
    Column("name", Key, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secrets", LargeBinary, nullable=False, comment="AES-256-GCM over JSON, newest first"),
    Column("types", Text, nullable=False, comment="JSON: types, or customer.*; empty = all"),
    Column("format", Text, nullable=False),
    Column("allow_networks", Text, nullable=False, comment="JSON"),
    Column("state", Text, nullable=False, comment="active, paused, disabled"),
    Column("reason", Text, nullable=False, server_default="", comment="why it is in this state"),
    Column("cursor", BigInteger, nullable=False, comment="position of the last event told"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="failed, in a row"),
    Column("failing_since", Instant),
    Column("next_at", Instant, nullable=False, comment="nothing is sent before"),
    Column("created_at", Instant, nullable=False),
)

_MASKED = "sees phones and mail addresses masked, whatever the role"
account = Table(
    "account",
    metadata,
    Column("name", Key, primary_key=True),
    Column("password_hash", Text, nullable=False, comment="Argon2id"),
    Column("role", Text, nullable=False, comment="admin, operator, manager, agent, auditor"),
    Column("language", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("masked", Boolean, nullable=False, server_default=text("false"), comment=_MASKED),
    Column("created_at", Instant, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the token; itself shown once"),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("masked", Boolean, nullable=False, server_default=text("false"), comment=_MASKED),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
)

audit = Table(
    "audit",
    metadata,
    _serial(),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="ids only, never personal data"),
)
