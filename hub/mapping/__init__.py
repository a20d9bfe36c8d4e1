"""Vendor fields to canonical records and back, as an administrator's YAML says.

A file names its source (``from:``), the kind it makes (``to:``), the row's id (``key:``), and
perhaps ``version:``, ``occurred_at:``, ``match:``; then what to read and what may be written::

    fields:                                          # canonical field: entry
      subject: title | strip                         # path | transform argument … | transform
      status: {path: state, values: {a: open}, default: new, otherwise: closed}
      channel: {value: email}                        # a constant
      requester: user.id | ref users                 # a reference; money: total | money CNY
      address: {path: site, fields: {city: town}}    # an object; without path: from here
      lines: {each: items, fields: {unit_price: price | money $.currency}}
      tags: [category, {each: labels, path: name}]   # a list concatenates its entries
      contact_points:
        - {type: phone, path: mobile, level: recorded, label: kind, each: numbers}
    also:                                            # further records of the same row
      - {to: Person, stream: addresses, key: from.address, fields: {name: from.name}}
    push:                                            # canonical path: vendor path | transform …
      subject: title
      requester: owner.id | deref users
      contact_points[type=email].value: fields[id=7].value

Paths are described in ``hub.mapping.paths``, transforms in ``TRANSFORMS``; any entry of
``fields:`` may say ``owner:``. An overlay is the same format with only what differs; its null
takes a field away.
"""

from __future__ import annotations

from hub.mapping.read import to_canonical
from hub.mapping.spec import Mapping, load, words_of
from hub.mapping.transforms import TRANSFORMS, Transform
from hub.mapping.write import fields_of, shared, to_vendor

__all__ = [
    "TRANSFORMS",
    "Mapping",
    "Transform",
    "fields_of",
    "load",
    "shared",
    "to_canonical",
    "to_vendor",
    "words_of",
]
