"""What a draft mapping would change, found out in a shadow: nothing is written, nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from hub.errors import ConfigError, MappingError
from hub.identity.resolve import Evidence, evidence_of
from hub.mapping import Mapping as Spec
from hub.models import PARTY_KINDS, Party, Record
from hub.pipeline.absorb import seen_by_rules, settle
from hub.pipeline.drafts import Draft, differences, moved, profile_changes
from hub.registry import Hub, Live
from hub.rules.decide import decide
from hub.store import customers, evidence, leases, profiles, quarantine, shadow
from hub.store.records import Saved
from hub.store.shadow import Earlier, Payload, Shadow, Stored

BATCH_MAX = 500


@dataclass(slots=True)
class Group:
    """Things of one sort: how many, and the first of them."""

    count: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, most: int, **told: Any) -> None:
        """One more."""
        self.count += 1
        if len(self.samples) < most:
            self.samples.append(told)


Groups = dict[str, Group]


@dataclass(slots=True)
class Rehearsal:
    """What using the draft would change.

    Attributes:
        version, version_now: of the draft, and of what is in use.
        rows: raw rows that were read, all there are.
        earlier: copies replaced since ``earlier_since`` that were read.
        earlier_from: when the oldest of them was received.
        changed: records that would differ; ``fields`` tells in what, by ``Kind.field``.
        appearing, vanishing: records that only the draft cuts, and that only what is in use does.
        unusable: rows it cannot read, by the path of the fault; their records stay as they are.
        unusable_earlier: the same for earlier copies: what was sent then may be sent again.
        rekeyed: rows it gives another id.
        held, mended: rows in quarantine, and those of them it can read.
        evidence: party records whose identifiers differ.
        merged, split: customers who would take others in, or be parted, on balance.
        profiles: customers whose profiles would differ, if nobody were merged or parted.
        writes: what rules would send if these changes were news, by rule and place. A switch is no
            news: rules stay silent.
    """

    connection: str
    stream: str
    name: str
    version: str
    version_now: str
    earlier_since: datetime
    earlier_from: datetime | None = None
    rows: int = 0
    earlier: int = 0
    changed: int = 0
    fields: Groups = field(default_factory=dict)
    appearing: Group = field(default_factory=Group)
    vanishing: Group = field(default_factory=Group)
    unusable: Groups = field(default_factory=dict)
    unusable_earlier: Groups = field(default_factory=dict)
    rekeyed: Group = field(default_factory=Group)
    held: int = 0
    mended: Group = field(default_factory=Group)
    evidence: Group = field(default_factory=Group)
    merged: Group = field(default_factory=Group)
    split: Group = field(default_factory=Group)
    profiles: Group = field(default_factory=Group)
    writes: Groups = field(default_factory=dict)


def connection_for(hub: Hub, spec: Spec, name: str | None = None) -> Live:
    """The connection a draft is for.

    Raises:
        ConfigError: there is none, or several to choose from.
    """
    vendor = spec.source.partition("/")[0]
    fitting = [live for live in hub.registry.all().values() if live.manifest.name == vendor]
    chosen = [live for live in fitting if name in (None, live.name)]
    known = ", ".join(live.name for live in fitting) or "none"
    if not chosen:
        said = f'"{name}" is no connection' if name else "there is no connection"
        raise ConfigError(f"{said} of the adapter {vendor}", hint=f"Known: {known}")
    if len(chosen) > 1:
        said = f"several connections use the adapter {vendor}"
        raise ConfigError(said, hint=f"Choose one with --connection: {known}")
    chosen[0].mapping(spec.stream)
    return chosen[0]


def rehearse(hub: Hub, live: Live, spec: Spec, *, days: int, samples: int = 3) -> Rehearsal:
    """What would change if this mapping were in use for the stream it is from.

    Rows are read in batches, then the customers they touch, each once: the memory used does not
    grow with them.

    Args:
        days: how far back copies that were replaced are tried as well.
        samples: how many of each sort are shown.
    """
    kept = min(days, hub.settings.history_days)
    found = Rehearsal(
        connection=live.name,
        stream=spec.stream,
        name=spec.source,
        version=spec.version,
        version_now=live.mapping(spec.stream).version,
        earlier_since=leases.now() - timedelta(days=kept),
    )
    with closing(Shadow(hub.database)) as private:
        stage = _Stage(hub, Draft(live, spec), private, found, samples)
        stage.read_rows()
        stage.read_earlier()
        stage.read_held()
        stage.compare_customers()
        for profile, changes in profile_changes(hub, stage.draft, private):
            name = profile.name.value if profile.name else ""
            found.profiles.add(samples, customer=profile.id, name=name, changes=changes)
    return found


def refuse_unsound(found: Rehearsal) -> None:
    """Return when the draft may be put to use.

    Raises:
        ConfigError: it gives stored rows other ids, so that each would come a second time.
    """
    if found.rekeyed.count:
        raise ConfigError(
            f"the draft of {found.name} gives {found.rekeyed.count} stored rows another id",
            hint='Keep "key:" as it is: rows under other ids are other rows.',
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where one rehearsal plays."""

    hub: Hub
    draft: Draft
    shadow: Shadow
    found: Rehearsal
    most: int

    def read_rows(self) -> None:
        """Every raw row there is: what the draft makes of it beside what is stored."""
        after = ""
        while True:
            with self.hub.database.read() as conn:
                page = shadow.rows(conn, self.draft.place, after, BATCH_MAX)
            if not page:
                return
            self.found.rows += len(page)
            self._compare(self._cut(page))
            after = page[-1].ref

    def _cut(self, page: Iterable[Payload]) -> dict[str, dict[str, Record]]:
        """The records of the rows it can read, by row and ref."""
        cuts: dict[str, dict[str, Record]] = {}
        for row in page:
            try:
                name, cut = self.draft.cut(orjson.loads(row.payload))
            except MappingError as exc:
                self._add(self.found.unusable, exc.path, ref=row.ref, error=str(exc))
                continue
            if name != row.ref:
                self.found.rekeyed.add(self.most, ref=row.ref, becomes=name)
            cuts[row.ref] = {str(r.ref): r for r in cut}
        return cuts

    def _compare(self, cuts: Mapping[str, Mapping[str, Record]]) -> None:
        """Tell what differs from what is stored, and follow what that would mean."""
        parents = {name: row for row, cut in cuts.items() for name in cut}
        with self.hub.database.read() as conn:
            stored = shadow.cut_from(conn, cuts)
            stored |= shadow.stored(conn, parents.keys() - stored.keys())
        changed = {
            name: r
            for row, cut in cuts.items()
            for name, r in cut.items()
            if self._differs(name, r, row, stored.get(name))
        }
        lost = [s for s in stored.values() if s.parent in cuts and s.ref not in parents]
        for gone in lost:
            self.found.vanishing.add(self.most, ref=gone.ref, kind=gone.kind)
        if changed or lost:
            self._follow(changed, stored, lost, parents)

    def _differs(self, name: str, r: Record, row: str, stored: Stored | None) -> bool:
        if stored is None:
            self.found.appearing.add(self.most, ref=name, kind=r.kind)
            return True
        written = r.model_dump_json(exclude_defaults=True)
        if stored.parent != row or (stored.document, stored.kind) == (written, r.kind):
            return False  # another row speaks for it, or it is the same
        before, after = orjson.loads(stored.document), orjson.loads(written)
        changes = differences({"kind": stored.kind, **before}, {"kind": r.kind, **after})
        for of, (was, now) in changes.items():
            self._add(self.found.fields, f"{r.kind}.{of}", ref=name, before=was, after=now)
        self.found.changed += bool(changes)
        return bool(changes)

    def _follow(
        self,
        changed: Mapping[str, Record],
        stored: Mapping[str, Stored],
        lost: Sequence[Stored],
        parents: Mapping[str, str],
    ) -> None:
        """Whose profiles changed records would touch, who they would be, what rules would send."""
        parties = {name: r for name, r in changed.items() if isinstance(r, Party)}
        before = {name: orjson.loads(stored[name].document) for name in changed if name in stored}
        kinds = {rule.kind for rule in self.hub.rules}
        with self.hub.database.read() as conn:
            moves = moved(conn, changed, stored, parents)
            owners = {s.party for s in lost} | {m.party for m in moves} | parties.keys()
            owners |= {stored[name].party for name in before}
            touched = customers.customers_of(conn, [party for party in owners if party])
            known = evidence.known(conn, parties)
            saved = Saved(changed, before, frozenset(), frozenset())
            seen = seen_by_rules(conn, self.hub, saved, kinds)
        self.shadow.touch(touched)
        self.shadow.move(moves)
        self._settle(parties, known, [s.ref for s in lost if s.kind in PARTY_KINDS])
        for intent in decide(self.hub.rules, seen):
            where = f"{intent.cause['rule']} → {intent.connection}/{intent.stream}"
            self._add(self.found.writes, where, ref=intent.cause["record"], fields=intent.fields)

    def _settle(
        self, parties: Mapping[str, Party], known: Mapping[str, Evidence], gone: Sequence[str]
    ) -> None:
        """Let the code that decides who is who decide it on the private copy."""
        told = [evidence_of(party, self.draft.live.region) for party in parties.values()]
        other = [e for e in told if e != known.get(e.ref)]
        for e in other:
            was, now = known[e.ref].keys.items() if e.ref in known else set(), e.keys.items()
            if was == now:
                continue  # another name, or another address
            gained, lost = ({type_ for (type_, _), _ in keys} for keys in (now - was, was - now))
            self.found.evidence.add(self.most, ref=e.ref, gained=sorted(gained), lost=sorted(lost))
        if other or gone:
            settle(self.shadow.deciding(), other, gone, actor="rehearsal")

    def read_earlier(self) -> None:
        """Copies that newer ones replaced: what the vendor sent then it may send again."""
        after = ("", 0)
        while True:
            with self.hub.database.read() as conn:
                since = self.found.earlier_since
                page = shadow.earlier(conn, self.draft.place, since, after, BATCH_MAX)
            if not page:
                return
            for copy in page:
                self._try(copy)
            after = page[-1].ref, page[-1].id

    def _try(self, copy: Earlier) -> None:
        raw = orjson.loads(copy.payload)
        if raw is None:  # it said that the row is gone
            return
        self.found.earlier += 1
        self.found.earlier_from = min(self.found.earlier_from or copy.seen_at, copy.seen_at)
        try:
            self.draft.cut(raw)
        except MappingError as exc:
            self._add(self.found.unusable_earlier, exc.path, ref=copy.ref, error=str(exc))

    def read_held(self) -> None:
        """Rows in quarantine: which of them the draft can read."""
        after, live, stream = 0, self.draft.live, self.draft.spec.stream
        while True:
            with self.hub.database.read() as conn:
                page = quarantine.held(conn, live.name, BATCH_MAX, after, stream=stream)
            if not page:
                return
            for row in page:
                self._try_held(row)
            after = page[-1]["id"]

    def _try_held(self, row: Mapping[str, Any]) -> None:
        self.found.held += 1
        try:
            self.draft.cut(json.loads(row["body"]))
        except MappingError:
            return
        self.found.mended.add(self.most, id=row["id"], path=row["path"], error=row["error"])

    def compare_customers(self) -> None:
        """Who would be merged and who parted, once all rows were read."""
        for group, (count, first) in (
            (self.found.merged, self.shadow.merged(self.most)),
            (self.found.split, self.shadow.split(self.most)),
        ):
            group.count = count
            with self.hub.database.read() as conn:
                ids = [id_ for one, parts in first for id_ in (one, *parts)]
                told = profiles.documents(conn, ids)
            for one, parts in first:
                names = {id_: told.get(id_, {}).get("name", {}) for id_ in parts}
                named = {id_: name.get("value", "") for id_, name in names.items()}
                group.samples.append({"customer": one, "parts": named})

    def _add(self, groups: Groups, name: str, **told: Any) -> None:
        groups.setdefault(name, Group()).add(self.most, **told)
