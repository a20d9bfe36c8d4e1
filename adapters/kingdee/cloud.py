"""What is asked of and told to 金蝶云星空, in its own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.kingdee.config import KingdeeConfig
from adapters.kingdee.forms import FORMS, Form, all_of, changed, completed, named, one_of, quoted
from hub.sdk import Http, Raw, RejectedError, zone_of

SERVICE = "/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.{}.common.kdsvc"

READS = frozenset({"ExecuteBillQuery", "BillQuery"})

STEPS = {"Z": ("Submit", "Audit"), "A": ("Submit", "Audit"), "B": ("Audit",)}
"""What a new record still needs, by its status: stored, made, in review. Once it was approved (C),
or reopened by a person (D), it is left alone."""

ALLOWED = {"save": (), "submit": ("Submit",), "audit": ("Submit", "Audit")}


class Cloud:
    """One data centre."""

    def __init__(self, http: Http, config: KingdeeConfig) -> None:
        self._http, self._config = http, config
        self._zone = zone_of(config.time_zone)

    def rows(self, stream: str, where: str, *, size: int) -> list[Raw]:
        """Heads with their lines, by id."""
        form = FORMS[stream]
        found = self.query(form, self.columns(stream), where, limit=size)
        rows = [completed(form, row, self._zone, self._config.currencies) for row in found]
        if form.line and rows:
            by_id = {str(row[form.id]): row for row in rows}
            for line in self._lines(form, [*by_id]):
                if line[form.line]:  # a head without lines comes with an empty one
                    by_id[str(line[form.id])]["lines"].append(line)
        return rows

    def versions(self, stream: str, where: str, *, size: int) -> list[Raw]:
        """Ids and when they were changed, by id."""
        form = FORMS[stream]
        found = self.query(form, (form.id, *form.dates), where, limit=size)
        return [completed(form, row, self._zone, {}) for row in found]

    def after(self, stream: str, since: datetime | None, last: str) -> str:
        """The filter for what comes behind this id and was changed since."""
        return all_of(
            f"{FORMS[stream].id} > {int(last or 0)}",
            changed(FORMS[stream], since, self._zone) if since else "",
            self._own(stream),
        )

    def having(self, stream: str, values: Mapping[str, str]) -> str:
        """The filter for what has any of these values."""
        any_of = " or ".join(f"{name} = {quoted(value)}" for name, value in values.items())
        return all_of(f"({any_of})", self._own(stream))

    def _own(self, stream: str) -> str:
        own = self._config.filters.get(stream)
        return f"({own})" if own else ""

    def columns(self, stream: str) -> tuple[str, ...]:
        """The columns of a head."""
        form = FORMS[stream]
        named = (form.id, form.number, *form.columns, *form.dates)
        return (*named, *self._config.more_columns.get(stream, ()))

    def query(
        self, form: Form, columns: Sequence[str], where: str, *, limit: int, start: int = 0
    ) -> list[Raw]:
        """One page of a query, by id and within it by line."""
        order = [name for name in (form.id, form.line) if name in columns]
        data = {
            "FormId": form.name,
            "FieldKeys": ",".join(columns),
            "FilterString": where,
            "OrderString": ", ".join(f"{name} ASC" for name in order or [form.id]),
            "TopRowCount": 0,
            "StartRow": start,
            "Limit": limit,
        }
        return named(columns, self._call(self._config.query, data=data))

    def made(self, form: Form, number: str) -> tuple[str, str] | None:
        """Id and status of the record with this number."""
        where = f"{form.number} = {quoted(number)}"
        found = self.query(form, (form.id, "FDocumentStatus"), where, limit=1)
        return (str(found[0][form.id]), str(found[0]["FDocumentStatus"])) if found else None

    def create(self, stream: str, number: str, values: Mapping[str, Any]) -> str:
        """The id of a new record under our number."""
        form, defaults = FORMS[stream], self._config.defaults
        head = {name: value for name, value in values.items() if name != form.entry}
        of_line = defaults.get(f"{stream}.lines", {})
        told = values.get(form.entry) or ()
        lines = [{**of_line, **self._numbered(form, line)} for line in told]
        model = {**defaults.get(stream, {}), form.number: number, **self._numbered(form, head)}
        return self._save(form, {**model, **({form.entry: lines} if lines else {})})

    def update(self, stream: str, row: Raw, values: Mapping[str, Any]) -> str:
        """The id of a record whose head says this from now on."""
        form = FORMS[stream]
        told = self._numbered(form, values)
        return self._save(form, {form.id: row[form.id], **told}, NeedUpDateFields=[*told])

    def approve(self, form: Form, id_: str, status: str) -> None:
        """Take a new record on from where it stands."""
        for step in STEPS.get(status, ()):
            if step in ALLOWED[self._config.approve]:
                self._call(step, formid=form.name, data={"Ids": id_})

    def _save(self, form: Form, model: Raw, **more: Any) -> str:
        data = {"IsDeleteEntry": "false", **more, "Model": model}
        return str(self._call("Save", formid=form.name, data=data)["Result"]["Id"])

    def _numbered(self, form: Form, values: Mapping[str, Any]) -> Raw:
        """The values with numbers for ids: a write names other records by what people know."""
        found = dict(values)
        for name in sorted(form.refs.keys() & found.keys()):
            of = FORMS[form.refs[name]]
            rows = self.query(of, (of.id, of.number), one_of(of.id, [found[name]]), limit=1)
            if not rows:
                raise RejectedError(f"there is no {of.name} {found[name]}")
            found[name] = {"FNumber": rows[0][of.number]}
        return found

    def _lines(self, form: Form, ids: Sequence[str]) -> Iterator[Raw]:
        columns, start, size = (form.id, form.line, *form.lines), 0, self._config.page_size
        while True:
            rows = self.query(form, columns, one_of(form.id, ids), limit=size, start=start)
            yield from rows
            if len(rows) < size:
                return
            start += size

    def _call(self, operation: str, **body: Any) -> Any:
        reads = operation in READS
        return self._http.json("POST", SERVICE.format(operation), json=body, repeatable=reads)
