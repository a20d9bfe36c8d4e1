"""Mappings the tests share."""

from __future__ import annotations

from hub.mapping import Mapping, load

PARTIES = """\
from: tryton/parties
to: {path: name | party_kind, default: Person}
key: id
version: write_date || create_date | utc
occurred_at: create_date | utc
fields:
  name: name
  owner: {path: assignee.name, owner: erp}
  organization: company | ref parties
  contact_points:
    - {type: phone, path: phone | strip, level: recorded}
    - {type: email, path: address | lower, level: claimed}
    - each: contact_mechanisms
      type: {path: type, values: {mobile: phone, phone: phone, email: email, skype: null}}
      path: value
      label: type
  addresses: {each: addresses, fields: {street: street, city: city}}
match: [email]
push:
  name: name
  contact_points[type=email].value: email
"""

TICKETS = """\
from: zendesk/tickets
to: Ticket
key: id
version: updated_at
fields:
  subject: subject
  description: description
  status:
    path: status
    values: {new: new, open: open, pending: waiting, hold: waiting, solved: solved}
  priority:
    path: priority
    values: {low: low, normal: normal, high: high, urgent: urgent}
    default: normal
  requester: requester_id | ref users
  opened_at: created_at | utc
  product_sn: custom_fields[id=360001].value | strip
  tags: tags
push:
  subject: subject
  status:
    path: status
    values: {new: new, open: open, waiting: pending, solved: solved}
  requester: requester_id | deref users | integer
  product_sn: custom_fields[id=360001].value
  description: comment.body
  assignee: {path: assignee, default: null}
"""

ORDERS = """\
from: tryton/sales
to: Order
key: id
fields:
  number: number
  status: {path: state, values: {draft: draft, done: done}, default: draft}
  ordered_on: sale_date | date
  total: total_amount | money currency.code
  lines:
    each: lines
    fields:
      product: product.id | ref products
      description: product.rec_name
      quantity: quantity | decimal
      unit_price: unit_price | money $.currency.code
push:
  number: reference
  lines:
    path: lines
    fields:
      product: product | deref products | integer
      quantity: quantity | number
      unit_price: unit_price | amount
  total: total_amount | amount
  total.currency: currency
"""

MAILS = """\
from: email/messages
to: Message
key: id
version: uid
occurred_at: date | utc
fields:
  channel: {value: email}
  direction: {value: in}
  subject: subject
  sender: from.address | lower | ref addresses
  to:
    - {each: to, type: email, path: '@ | lower', level: claimed}
also:
  - to: Person
    stream: addresses
    key: from.address | lower
    fields:
      name: from.name
      contact_points: [{type: email, path: from.address | lower, level: claimed}]
  - to: Person
    stream: addresses
    each: to
    key: '@ | lower'
    version: $.other_uid
    fields:
      contact_points: [{type: email, path: '@ | lower', level: claimed}]
"""


def ticket_spec(fields: str, *, more: str = "") -> Mapping:
    """A Ticket mapping with these entries besides a subject."""
    body = "".join(f"  {line}\n" for line in fields.splitlines())
    return load(
        f"from: v/tickets\nto: Ticket\nkey: id\nfields:\n  subject: {{value: x}}\n{body}{more}",
        name="tickets.yaml",
    )
