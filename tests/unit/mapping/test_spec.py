from __future__ import annotations

import pytest
import yaml

from hub.errors import MappingSpecError
from hub.mapping import load, to_canonical
from tests.unit.mapping.specs import MAILS, ORDERS, PARTIES, TICKETS

HEAD = "from: v/tickets\nto: Ticket\nkey: id\nfields:\n  subject: subject\n"


def faults(text: str, overlay: str | None = None) -> list[str]:
    with pytest.raises(MappingSpecError) as caught:
        load(text, name="t.yaml", overlay=overlay, overlay_name="site.yaml")
    assert caught.value.hint
    return str(caught.value).splitlines()


@pytest.mark.parametrize("text", [PARTIES, TICKETS, ORDERS, MAILS])
def test_good_specs_load(text: str) -> None:
    load(text, name="x.yaml")


def test_what_a_mapping_tells() -> None:
    mapping = load(PARTIES, name="p.yaml")
    assert mapping.source == "tryton/parties"
    assert mapping.stream == "parties"
    assert mapping.kinds == ("Person", "Organization")
    assert mapping.owners == {"owner": "erp"}
    assert mapping.match == ("email",)
    assert mapping.writable == {"name", "contact_points"}
    assert yaml.safe_load(mapping.text) == yaml.safe_load(PARTIES)
    assert load(MAILS, name="m").kinds == ("Message", "Person")


def test_kinds_from_a_table() -> None:
    text = "from: v/p\nto: {path: is_company, values: {'true': Organization}, otherwise: Person}\n"
    mapping = load(text + "key: id\nfields: {name: name}\n", name="p")
    assert mapping.kinds == ("Person", "Organization")
    raws = ({"id": 1, "is_company": True}, {"id": 1, "is_company": False})
    assert [to_canonical(mapping, raw, connection="c")[0].kind for raw in raws] == [
        "Organization",
        "Person",
    ]


def test_the_version_is_that_of_the_content() -> None:
    version = load(TICKETS, name="a").version
    assert len(version) == 16
    assert int(version, 16)
    assert load("# remark\n" + TICKETS, name="b").version == version
    assert load(TICKETS.replace("tags: tags", "tags: labels"), name="a").version != version
    assert load(TICKETS, name="a", overlay="fields: {tags: labels}").version != version
    assert load(TICKETS, name="a", overlay="fields: {tags: tags}").version == version


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("  subjct: a", 'unknown field "subjct"; did you mean "subject"?'),
        ("  ref: a", '"ref" is not given in "fields:"'),
        ("  occurred_at: a", '"occurred_at" is not given in "fields:"'),
        ("  tags: a | splitt", 'unknown transform "splitt"; did you mean "split"?'),
        ("  status: {path: s, values: {a: nw}}", 'unknown status "nw"; did you mean "new"?'),
        ("  status: {path: s, values: {a: 3}}", "3 does not fit status"),
        ("  status: {path: s, default: opn}", 'unknown status "opn"; did you mean "open"?'),
        ("  status: {value: opn}", 'unknown status "opn"; did you mean "open"?'),
        ("  status: {path: s, values: [a]}", '"values" is not a table'),
        ("  status: {path: s, values: {1: new}}", 'the key "1" is not text'),
        ("  status: {path: s, values: {on: new}}", 'the key "on" is not text'),
        ("  status: {path: s, values: {~: new}}", 'the key "~" is not text'),
        ("  status: {path: s, values: {[a]: new}}", "the key is not text"),
        ("  status: {path: s, otherwise: new}", '"otherwise" without "values"'),
        ("  status: {pth: s, value: new}", 'unknown key "pth"; did you mean "path"?'),
        ("  status: {values: {a: new}}", 'give either "path" or "value"'),
        ("  status: {path: s, value: new}", 'give either "path" or "value"'),
        ("  status: no", "text was expected here"),
        ("  status:", "text was expected here"),
        ("  requester: user_id", "requester is a Ref"),
        ("  assignee: user_id | ref users", "assignee takes no Ref"),
        ("  assignee: user_id | money CNY", "assignee takes no Money"),
        ("  assignee: [a, b]", "assignee takes no list of entries"),
        ("  assignee: {fields: {a: b}}", "assignee has no parts"),
        ("  tags: {path: a, values: {b: [c]}}", "tags is a list"),
        ("  tags: {each: a, path: b, valus: {}}", 'unknown key "valus"; did you mean "values"?'),
        ("  tags: !x a", "the tag !x"),
        ("  tags: a\n  tags: b", '"tags" is given twice'),
        ("extra: a", 'unknown key "extra"'),
        ("version: a | b", 'unknown transform "b"'),
        ("also: {a: b}", '"also" is not a list'),
        ("also: [a]", "this is not a record"),
        ("match: subject", '"match" is not a list'),
        ("match: [subjct]", 'unknown field "subjct"; did you mean "subject"?'),
        ("match: [phone]", 'unknown field "phone"'),
        ("push: [subject]", "this is not a table"),
        ("push: {subjct: s}", 'unknown field "subjct"; did you mean "subject"?'),
        ("push: {subject: s | ref x}", '"ref" works only in "fields:"'),
        ("push: {subject: 's[0]'}", '"s[0]" is not a place to write to'),
        ("push: {subject: $}", '"$" is not a place to write to'),
        ("push: {requester: r}", "requester has parts"),
        ("push: {requester.idd: r}", 'unknown field "idd"; did you mean "id"?'),
        (
            "push: {requester: {path: r, fields: {idd: a}}}",
            'unknown field "idd"; did you mean "id"?',
        ),
        ("push: {subject: {path: s, fields: {a: b}}}", "subject has no parts"),
        ("push: {subject: s, description: s.t}", "this vendor field is already written"),
        ("push: {status: {path: s, values: {nw: 1}}}", 'unknown status "nw"; did you mean "new"?'),
    ],
)
def test_one_fault(line: str, fault: str) -> None:
    at = (HEAD + line).count("\n") + 1
    found = faults(HEAD + line)
    assert [told for told in found if not told.startswith(f"t.yaml:{at}: ")] == []
    assert found[0].startswith(f"t.yaml:{at}: {fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "t.yaml:1: this is not a mapping"),
        ("just text", "t.yaml:1: this is not a mapping"),
        ("a: b\n c: [", "t.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: b\nc: \x01", "t.yaml:2: not valid YAML: a forbidden character"),
        ('a: "\\U99999999"', "t.yaml:1: not valid YAML: a malformed escape"),
        ("[" * 1000, "t.yaml:1: nested too deeply"),
        ("a: b\n---\nc: d", "t.yaml:2: not valid YAML: but found another document"),
    ],
)
def test_what_cannot_be_read(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_every_fault_is_told_with_its_line() -> None:
    text = """\
from: Tickets
to: Tiket
fields:
  subject: a | stripp
  status:
    path: s
    values:
      a: new
      b: nw
  contact: x
also:
  - to: Person
    key: from
    fields:
      contact_points:
        - {type: email}
        - {path: b}
push:
  statu: x
"""
    assert faults(text) == [
        't.yaml:1: "Tickets" is not a source',
        't.yaml:1: "key" is missing',
        't.yaml:2: unknown kind "Tiket"; did you mean "Ticket"?',
        't.yaml:4: unknown transform "stripp"; did you mean "strip"?',
        't.yaml:9: unknown status "nw"; did you mean "new"?',
        't.yaml:10: unknown field "contact"',
        't.yaml:12: "stream" is missing',
        't.yaml:16: give either "path" or "value"',
        't.yaml:17: "type" is missing',
        't.yaml:19: unknown field "statu"; did you mean "status"?',
    ]


def test_the_model_needs_what_it_needs() -> None:
    assert faults("from: v/t\nto: Ticket\nkey: id\nfields:\n  status: s\n") == [
        't.yaml:4: "subject" is missing'
    ]
    assert faults("from: v/t\nto: Ticket\nkey: id\n") == ['t.yaml:1: "fields" is missing']


def test_a_kind_must_be_tellable() -> None:
    text = HEAD.replace("to: Ticket", "to: {path: kind}")
    assert faults(text)[0] == "t.yaml:2: this does not tell which kinds there are"


def test_aliases_are_refused() -> None:
    assert faults(HEAD + "  tags: &a x\n  assignee: *a")[0] == "t.yaml:7: an alias"
    assert faults("a: &a [*a]")


def test_contact_points_must_be_written_out() -> None:
    head = "from: v/p\nto: Person\nkey: id\nfields:\n  contact_points:\n    - "
    assert faults(head + "phone") == ["t.yaml:6: contact_points has parts"]
    assert faults(head + "{path: phone}") == ['t.yaml:6: "type" is missing']
    assert faults(head + "{type: Phone, path: a}") == ["t.yaml:6: 'Phone' does not fit type"]
    assert faults(head + "{type: phone, path: a, level: sure}") == [
        't.yaml:6: unknown level "sure"'
    ]


class TestOverlay:
    def test_it_changes_only_what_it_names(self) -> None:
        mapping = load(
            TICKETS,
            name="t",
            overlay="""
fields:
  product_sn: custom_fields[id=7].value
  status: {values: {spam: closed}}
  requester: {owner: crm}
push: {subject: null, status: {path: state}}
""",
        )
        raw = {
            "id": 1,
            "subject": "x",
            "status": "spam",
            "custom_fields": [{"id": 7, "value": "S"}],
        }
        ticket = to_canonical(mapping, raw, connection="c")[0]
        assert (ticket.status, ticket.product_sn) == ("closed", "S")
        assert to_canonical(mapping, raw | {"status": "hold"}, connection="c")
        assert mapping.owners == {"requester": "crm"}
        assert "subject" not in mapping.writable
        assert "status" in mapping.writable

    def test_another_source_of_a_value_replaces_the_old_one(self) -> None:
        over = "fields: {status: {value: open}, tags: {each: labels, path: name}}"
        mapping = load(TICKETS, name="t", overlay=over)
        raw = {"id": 1, "subject": "x", "status": "?", "labels": [{"name": "a"}]}
        ticket = to_canonical(mapping, raw, connection="c")[0]
        assert (ticket.status, ticket.tags) == ("open", ("a",))
        back = "fields: {status: {path: s, values: {a: solved}}}"
        again = load(mapping.text, name="t", overlay=back)
        ticket = to_canonical(again, {"id": 1, "subject": "x", "s": "a"}, connection="c")[0]
        assert ticket.status == "solved"

    def test_a_list_may_get_an_owner(self) -> None:
        mapping = load(PARTIES, name="p", overlay="fields: {contact_points: {owner: crm}}")
        assert mapping.owners == {"owner": "erp", "contact_points": "crm"}
        raw = {"id": 1, "phone": "139"}
        assert len(to_canonical(mapping, raw, connection="c")[0].contact_points) == 1

    def test_its_faults_name_its_own_file(self) -> None:
        over = "# site\nfields:\n  status:\n    values: {spam: clsed}\n  colour: x\n"
        assert faults(TICKETS, over) == [
            'site.yaml:4: unknown status "clsed"; did you mean "closed"?',
            'site.yaml:5: unknown field "colour"',
        ]
        assert faults(TICKETS, "a: [")[0].startswith("site.yaml:1: not valid YAML: ")
        assert faults(TICKETS, "") == ["site.yaml:1: this is not a mapping"]


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        (None, False), ("", False), (False, False), (0, False), ("0", False), ("False", False),
        ("no", False), (True, True), (1, True), ("1", True), ("2026-03-01T00:00:00Z", True),
    ],
)  # fmt: skip
def test_a_row_may_say_itself_that_it_was_deleted(said: object, gone: bool) -> None:
    mapping = load(HEAD + "gone: state.deleted\n", name="t")
    raw = {"id": 1, "subject": "x", "state": {"deleted": said}}
    assert mapping.is_gone(raw) is gone
    assert "state" not in to_canonical(mapping, raw, connection="c")[0].extra


def test_without_word_of_it_nothing_is_gone() -> None:
    mapping = load(HEAD, name="t")
    assert not mapping.is_gone({"id": 1, "deleted": True})
    assert faults(HEAD + "gone: {path: x}\n")


def test_rows_may_be_told_to_be_parts() -> None:
    assert load(HEAD + "partial: true\n", name="t").partial
    assert not load(HEAD, name="t").partial
    assert faults(HEAD + "partial: often\n")
