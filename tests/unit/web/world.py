"""A small company's customers, written straight into the tables, for the tests of the web."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection, insert, update

from hub.models import (
    Address,
    Asset,
    Call,
    Channel,
    ContactPoint,
    Direction,
    Feedback,
    Invoice,
    InvoiceStatus,
    Level,
    Message,
    Money,
    Order,
    OrderLine,
    OrderStatus,
    Organization,
    Payment,
    Person,
    Priority,
    Record,
    Ref,
    Ticket,
    TicketStatus,
    WorkOrder,
)
from hub.models.normalise import identifier_value, search_keys
from hub.models.service import OPEN_STATUSES
from hub.profiles.build import SHOWN, Held, Manner, Material, build
from hub.profiles.catalogue import read_catalogue
from hub.profiles.document import Profile, Source
from hub.profiles.traits import since
from hub.sdk import Item
from hub.store import inbox, schema, tallies
from hub.store.crypto import Vault, new_key

LI_NA, OLD_LI_NA, HONGDA, WANG, QUIET = (
    "5f0c1d2e3b4a49788c6d5e4f3a2b1c01",
    "5f0c1d2e3b4a49788c6d5e4f3a2b1c99",
    "5f0c1d2e3b4a49788c6d5e4f3a2b1c02",
    "5f0c1d2e3b4a49788c6d5e4f3a2b1c03",
    "5f0c1d2e3b4a49788c6d5e4f3a2b1c04",
)
PHONE, PHONE_AS_TYPED = "+8613900001234", "139 0000 1234"
SHARED = "+862155500100"
MAIL = "li.na@hongda.example"
CATALOGUE = read_catalogue()
KEY = new_key()
VAULT = Vault([KEY])
PRIORITY = ("erp", "desk", "mailbox")


def ref(text: str) -> Ref:
    return Ref.parse(text)


def cny(yuan: int) -> Money:
    return Money(amount_minor=yuan * 100, currency="CNY")


class World:
    """Inserts what the pipeline would have stored.

    Args:
        now: all ages count from here.
    """

    def __init__(self, conn: Connection, now: datetime | None = None) -> None:
        self.conn = conn
        self.now = now or datetime.now(UTC)

    def ago(self, **span: float) -> datetime:
        return self.now - timedelta(**span)

    def connection(self, name: str, adapter: str, state: str = "ok", reason: str = "") -> None:
        self._insert(
            schema.connection, name=name, adapter=adapter, config="{}", state=state, reason=reason,
            secrets=VAULT.encrypt(b"{}", context=f"connection:{name}"),
            changed_at=self.ago(days=2), checked_at=self.ago(minutes=3),
        )  # fmt: skip

    def stream(self, connection: str, stream: str, **more: Any) -> None:
        row = {
            "rows": 1200, "due_at": self.ago(minutes=-5), "advanced_at": self.ago(minutes=4),
            "completed_at": self.ago(minutes=4),
        }  # fmt: skip
        self._insert(schema.checkpoint, connection=connection, stream=stream, **{**row, **more})

    def record(self, record: Record, party: str, seen_at: datetime | None = None) -> Held:
        name = str(record.ref)
        seen_at = seen_at or self.ago(minutes=9)
        self._insert(
            schema.raw, ref=name, payload="{}", hash=b"x", version=record.version, seen_at=seen_at
        )
        self._insert(
            schema.record,
            ref=name,
            kind=record.kind,
            document=record.model_dump_json(exclude_defaults=True),
            occurred_at=record.occurred_at or schema.EPOCH,
            is_open=isinstance(record, Ticket) and record.status in OPEN_STATUSES,
            mapping_version="9c41f0a2b7de8810",
            parent=name,
            party=party,
            saved_at=seen_at,
        )
        source = Source(
            ref=name,
            connection=record.ref.connection,
            mapping_version="9c41f0a2b7de8810",
            seen_at=seen_at,
        )
        return Held(record, source)

    def customer(self, id_: str, held: Sequence[Held], built_at: datetime | None = None) -> Profile:
        self._insert(schema.customer, id=id_, created_at=self.ago(days=400))
        for item in held:
            if isinstance(item.record, Person | Organization):
                self._party(id_, item.record)
        shown = _newest(held)
        now = built_at or self.ago(minutes=2)
        tallies.mend(self.conn, [str(item.record.ref) for item in held])
        sums = tallies.of_customers(self.conn, [id_], since(CATALOGUE, now))[id_]
        profile = build(id_, Material(shown, sums), Manner(PRIORITY, {}, CATALOGUE), now)
        assert profile is not None
        names = dict.fromkeys(member.name for member in profile.members)
        self._insert(
            schema.profile,
            customer_id=id_,
            name=profile.name.value if profile.name else "",
            search="\n".join(search_keys(name) for name in names if name),
            document=profile.model_dump_json(exclude_defaults=True),
            built_at=profile.built_at,
        )
        return profile

    def decision(self, verb: str, customer_id: str, evidence: Any = (), **more: Any) -> None:
        row = {"actor": "hub", "at": self.ago(days=30), **more}
        text = orjson.dumps(list(evidence)).decode()
        self._insert(schema.decision, verb=verb, customer_id=customer_id, evidence=text, **row)

    def _party(self, id_: str, party: Person | Organization) -> None:
        self._insert(schema.link, ref=str(party.ref), customer_id=id_)
        for point in party.contact_points:
            value = identifier_value(point.type, point.value)
            if value:
                self._insert(
                    schema.identifier, type=point.type, value=value, ref=str(party.ref),
                    level=point.level.value,
                )  # fmt: skip

    def _insert(self, table: Any, **row: Any) -> None:
        self.conn.execute(insert(table).values(row))


def _newest(held: Sequence[Held]) -> list[Held]:
    """The newest of each kind, as the store hands them to the builder."""
    kept: dict[str, int] = {}
    ordered = sorted(held, key=lambda h: (-(h.record.occurred_at or schema.EPOCH).timestamp(),
                                          h.source.ref))  # fmt: skip
    shown = []
    for item in ordered:
        kept[item.record.kind] = kept.get(item.record.kind, 0) + 1
        if kept[item.record.kind] <= SHOWN:
            shown.append(item)
    return shown


def fill(conn: Connection, now: datetime | None = None) -> World:
    """One customer known to three systems, a company, two who share a phone, a stranger."""
    world = World(conn, now)
    _connections(world)
    world.customer(LI_NA, [*_li_na(world), *_her_requests(world), *_her_orders(world)])
    _insert_redirect(world)
    _decisions(world)
    world.customer(HONGDA, _hongda(world), built_at=world.ago(minutes=40))
    world.customer(WANG, _wang(world), built_at=world.ago(hours=3))
    world.customer(QUIET, _quiet(world), built_at=world.ago(days=2))
    _inbox(world)
    return world


NEWEST, UNREADABLE, OLDER, EXPIRED = 1, 2, 3, 4
"""Ids of the events in the inbox."""

SECRET = "s3cr3t-canary"


def _inbox(world: World) -> None:
    """Events applied, quarantined and expired, and two senders who were refused."""
    order = {"id": "SO2291", "customer": {"name": "李娜", "phone": PHONE}, "total": 12800}
    note = {"id": "2207", "text": "备件已发出", "api_token": SECRET}
    said = [
        ("erp", "evt_2291", "order.updated", "orders/SO2291", {**order, "client_secret": SECRET}),
        ("desk", "evt_77", "issue.changed", "issues/2207", note),
        ("erp", "evt_2290", "order.created", "orders/SO2290", order),
        ("erp", "evt_0001", "order.created", "orders/SO0001", {}),
    ]
    headers = {"content-type": "application/json", "x-signature": SECRET, "user-agent": "ERP/7"}
    for n, (connection, event_id, type_, key, body) in enumerate(said):
        at = world.ago(minutes=4**n)
        item = Item(orjson.dumps(body), event_id, key, type_)
        (row,) = inbox.rows_for(connection, [item], headers, at)
        world._insert(schema.inbox, **row)
    told = {"error": "the stream 'note' is not accepted", "hint": "Add it to `accept`."}
    _set(world, UNREADABLE, state="quarantined", **told)
    for id_ in (NEWEST, OLDER):
        _set(world, id_, state="done", done_at=world.ago(minutes=1))
    over = {"state": "done", "done_at": world.ago(days=40), "received_at": world.ago(days=40)}
    _set(world, EXPIRED, **over, expired_at=world.ago(days=10), body=b"", headers="{}")
    for name, reason in (("erp", "no configured secret fits the signature"), ("shop", "unknown")):
        world._insert(schema.refusal, **_refusal(world, name, reason))


def _set(world: World, id_: int, **values: Any) -> None:
    world.conn.execute(update(schema.inbox).where(schema.inbox.c.id == id_).values(**values))


def _refusal(world: World, connection: str, reason: str) -> dict[str, Any]:
    return {
        "connection": connection,
        "known": connection == "erp",
        "status": 401 if connection == "erp" else 404,
        "reason": reason,
        "hint": "Compare the secret at the sender with the one of this connection.",
        "remote": "203.0.113.9",
        "method": "POST",
        "path": f"/hooks/{connection}",
        "headers": '{"x-signature": "*** (64)", "content-type": "application/json"}',
        "size_bytes": 812,
        "body_sha256": "9f" * 32,
        "body_start": f'{{"phone": "{PHONE}", "token": "***"',
        "count": 37,
        "first_at": world.ago(minutes=9),
        "at": world.ago(minutes=8),
    }


def _connections(world: World) -> None:
    world.connection("erp", "tryton")
    world.connection("desk", "roundup")
    world.connection("mailbox", "email")
    world.connection("chat", "matrix", "auth_failed", "The server refused our token.")
    for connection, stream in (("erp", "parties"), ("erp", "sales"), ("desk", "issues")):
        world.stream(connection, stream)
    world.stream("mailbox", "messages", completed_at=world.ago(seconds=20))
    world.stream("chat", "rooms", completed_at=None, failures=3, error="401")


def _insert_redirect(world: World) -> None:
    world._insert(schema.customer, id=OLD_LI_NA, merged_into=LI_NA, created_at=world.ago(days=300))


def _decisions(world: World) -> None:
    world.decision("new", LI_NA, at=world.ago(days=400))
    world.decision("new", OLD_LI_NA, at=world.ago(days=300))
    same = {"a": "desk/users/88", "b": "erp/parties/1042", "rule": "same", "type": "phone"}
    world.decision("merge", LI_NA, [same], other_id=OLD_LI_NA, at=world.ago(days=290))
    claim = {"a": "erp/parties/1042", "b": f"mailbox/addresses/{MAIL}", "rule": "claims",
             "type": "email"}  # fmt: skip
    world.decision("match", LI_NA, [claim], at=world.ago(days=12))


def _li_na(world: World) -> list[Held]:
    erp = Person(
        ref=ref("erp/parties/1042"),
        name="李娜",
        organization_name="上海宏达精密机械有限公司",
        title="采购经理",
        tier="VIP",
        owner="王强",
        tags=("月结 30 天", "华东"),
        language="zh-CN",
        contact_points=(
            ContactPoint(type="phone", value="139-0000-1234", label="手机", level=Level.PROVEN),
            ContactPoint(type="email", value=MAIL),
            ContactPoint(type="phone", value="021-5550 0100", label="总机"),
        ),
        addresses=(Address(street="张江路 88 号 3 幢", city="浦东新区", region="上海市"),),
    )
    desk = Person(
        ref=ref("desk/users/88"),
        name="Li Na",
        organization_name="宏达精密",
        title="采购",
        tags=("老客户",),
        contact_points=(
            ContactPoint(type="phone", value="+86 139 0000 1234"),
            ContactPoint(type="email", value="Li.Na@Hongda.example"),
        ),
    )
    mail = Person(
        ref=ref(f"mailbox/addresses/{MAIL}"),
        name="李娜 Li Na",
        contact_points=(
            ContactPoint(type="email", value=MAIL, level=Level.CLAIMED),
            ContactPoint(type="phone", value="137 0000 5678", label="签名", level=Level.CLAIMED),
        ),
    )
    seen = (world.ago(hours=5), world.ago(days=3), world.ago(hours=2))
    return [world.record(r, str(r.ref), s) for r, s in zip((erp, desk, mail), seen, strict=True)]


def _her_requests(world: World) -> list[Held]:
    desk, mail = "desk/users/88", f"mailbox/addresses/{MAIL}"
    facts: list[tuple[Record, str]] = [
        (
            Ticket(
                ref=ref("desk/issues/2207"),
                subject="三号线主轴异响，停机等待上门",
                status=TicketStatus.OPEN,
                priority=Priority.URGENT,
                requester=ref(desk),
                assignee="赵敏",
                product_sn="HD-CNC-20391",
                tags=("设备报修", "停机"),
                due_at=world.ago(minutes=50),
                occurred_at=world.ago(hours=6),
            ),
            desk,
        ),
        (
            Ticket(
                ref=ref("desk/issues/2198"),
                subject="询问刀库备件的交期",
                status=TicketStatus.WAITING,
                requester=ref(desk),
                assignee="陈晨",
                due_at=world.ago(days=-1),
                occurred_at=world.ago(days=1, hours=3),
            ),
            desk,
        ),
        (
            Message(
                ref=ref("mailbox/messages/msg-771"),
                channel=Channel.EMAIL,
                direction=Direction.IN,
                sender=ref(mail),
                subject="Re: 三号线主轴异响",
                text="赵工，今天上午又响了两次，声音比昨天更尖。\n操作工已经停机，"
                "视频放在附件里。下午能安排人过来吗？我的电话 137 0000 5678，随时可以打。",
                occurred_at=world.ago(hours=2, minutes=4),
            ),
            mail,
        ),
        (
            Message(
                ref=ref("mailbox/messages/msg-765"),
                channel=Channel.EMAIL,
                direction=Direction.OUT,
                subject="三号线主轴异响",
                text="李经理您好，工程师建议先停机，避免主轴轴承进一步磨损。我们正在协调上门时间。",
                occurred_at=world.ago(hours=4, minutes=30),
            ),
            mail,
        ),
        (
            Call(
                ref=ref("desk/calls/5512"),
                direction=Direction.IN,
                number="13900001234",
                agent="赵敏",
                duration_s=254,
                occurred_at=world.ago(hours=6, minutes=10),
            ),
            desk,
        ),
        (
            WorkOrder(
                ref=ref("desk/orders/318"),
                subject="上门检修主轴，携带轴承 7014C",
                engineer="孙伟",
                occurred_at=world.ago(hours=1),
            ),
            desk,
        ),
        (
            Feedback(
                ref=ref("desk/surveys/90"),
                scale="csat",
                score=2,
                comment="等了一整天才有人回电。",
                occurred_at=world.ago(days=9),
            ),
            desk,
        ),
        (
            Ticket(
                ref=ref("desk/issues/2140"),
                subject="数控系统升级后参数丢失",
                status=TicketStatus.SOLVED,
                requester=ref(desk),
                occurred_at=world.ago(days=11),
            ),
            desk,
        ),
    ]
    facts += [
        (
            Message(
                ref=ref(f"mailbox/messages/msg-{700 - n}"),
                channel=Channel.EMAIL,
                direction=Direction.IN if n % 2 else Direction.OUT,
                subject=f"刀具季度框架协议，第 {n} 稿",
                text="附件是修改后的价格表，请确认。",
                occurred_at=world.ago(days=14 + 3 * n),
            ),
            mail,
        )
        for n in range(1, 26)
    ]
    return [world.record(fact, party) for fact, party in facts]


def _her_orders(world: World) -> list[Held]:
    party = "erp/parties/1042"
    today = world.now.date()

    def order(n: int, status: OrderStatus, days: int, yuan: int, *lines: OrderLine) -> Order:
        return Order(
            ref=ref(f"erp/sales/{n}"), number=f"SO-2026-{n:04d}", status=status,
            customer=ref(party), ordered_on=today - timedelta(days=days), total=cny(yuan),
            lines=lines, occurred_at=world.ago(days=days, hours=2),
        )  # fmt: skip

    def invoice(n: int, status: InvoiceStatus, issued: int, due: int, yuan: int) -> Invoice:
        return Invoice(
            ref=ref(f"erp/invoices/{n}"), number=f"INV-{n:05d}", status=status,
            customer=ref(party), issued_on=today - timedelta(days=issued),
            due_on=today - timedelta(days=due), total=cny(yuan),
            open_amount=cny(yuan if status is InvoiceStatus.ISSUED else 0),
            occurred_at=world.ago(days=issued, hours=1),
        )  # fmt: skip

    bearing = OrderLine(description="角接触轴承 7014C P4", quantity=Decimal(4), amount=cny(5120))
    grease = OrderLine(description="主轴润滑脂 1 kg", quantity=Decimal("2.50"), amount=cny(640))
    facts = [
        order(417, OrderStatus.CONFIRMED, 1, 5760, bearing, grease),
        order(398, OrderStatus.SHIPPED, 8, 48600),
        order(362, OrderStatus.DONE, 33, 126000),
        order(331, OrderStatus.DONE, 61, 18250),
        order(290, OrderStatus.DONE, 118, 9400),
        order(255, OrderStatus.CANCELLED, 160, 3300),
        invoice(8817, InvoiceStatus.ISSUED, 7, -23, 48600),
        invoice(8790, InvoiceStatus.ISSUED, 35, 5, 12800),
        invoice(8702, InvoiceStatus.PAID, 60, 30, 126000),
        Payment(
            ref=ref("erp/payments/551"), amount=cny(126000), customer=ref(party),
            occurred_at=world.ago(days=4),
        ),
        Asset(
            ref=ref("erp/assets/20391"), serial_number="HD-CNC-20391",
            product_name="五轴加工中心 VMC-850", customer=ref(party),
            warranty_until=today + timedelta(days=16), occurred_at=world.ago(days=500),
        ),
        Asset(
            ref=ref("erp/assets/18011"), serial_number="HD-LTH-18011",
            product_name="数控车床 CK6150", customer=ref(party),
            warranty_until=date(today.year - 1, 6, 30), occurred_at=world.ago(days=1500),
        ),
    ]  # fmt: skip
    return [world.record(fact, party) for fact in facts]


def _hongda(world: World) -> list[Held]:
    company = Organization(
        ref=ref("erp/parties/1000"),
        name="上海宏达精密机械有限公司",
        tier="VIP",
        contact_points=(
            ContactPoint(type="phone", value="021-5550 0100", label="总机"),
            ContactPoint(type="website", value="www.hongda.example"),
        ),
    )
    return [world.record(company, str(company.ref))]


def _wang(world: World) -> list[Held]:
    wang = Person(
        ref=ref("desk/users/91"),
        name="王建国",
        organization_name="上海宏达精密机械有限公司",
        contact_points=(ContactPoint(type="phone", value="021-5550 0100"),),
    )
    return [world.record(wang, str(wang.ref))]


def _quiet(world: World) -> list[Held]:
    stranger = Person(
        ref=ref("mailbox/addresses/hello@quiet.example"),
        contact_points=(
            ContactPoint(type="email", value="hello@quiet.example", level=Level.CLAIMED),
        ),
    )
    return [world.record(stranger, str(stranger.ref))]
