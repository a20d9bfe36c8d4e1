"""Commands about who is who: in the hub, where people decide, and in files, without a database."""

from __future__ import annotations

import csv
import gc
import gzip
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import IO, Any

import click
import orjson

from hub.cli.base import json_option, opened, out, plain, show, show_json
from hub.errors import ConfigError
from hub.identity import train as training
from hub.identity import weights as documents
from hub.identity.matching import Batch, MemoryIndex, Scorer, resolve, settle
from hub.identity.resolve import Part, assign
from hub.identity.traits import Ref, Traits, read_traits
from hub.identity.weights import Weights
from hub.pipeline import identity as people
from hub.store import reviews

ACTOR = "hub cli"

CHUNK = 2000
"""Lines read in one go."""

PARALLEL_BYTES = 8 << 20
"""Smaller files are read by one process: starting others would take longer."""

IN = click.Path(exists=True, dir_okay=False, path_type=Path)
region_option = click.option(
    "--region", default="CN", show_default=True, help="Of phones written without a country."
)
weights_option = click.option(
    "--weights",
    "weights_path",
    type=IN,
    help="From `hub identity train`; else learned here.",
)


why_option = click.option("--why", default="", help="Kept with the decision; no personal data.")


@click.group("identity")
def identity() -> None:
    """Match customer records: those of the hub, and those in files.

    客户身份匹配：系统内的记录，以及文件中的记录。
    """


@identity.command("resolve")
@click.argument("path", type=IN)
@click.option("--out", "target", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--stream", is_flag=True, help="Feed the records one by one, as upserts.")
@weights_option
@region_option
def resolve_(
    path: Path, target: Path, weights_path: Path | None, region: str, *, stream: bool
) -> None:
    """Records (JSON lines) in, ``source,source_id,customer_id`` out.

    With --stream the weights are learned first, as in a hub that is running, and every record is
    matched when its turn comes, by look-ups.
    """
    with _no_collector():
        batch = Batch(_newest(_records(path, region)))
        weights = _weights(weights_path, batch)
        if stream:
            customers = _streamed(path, region, weights)
        else:
            groups = sorted(resolve(batch, weights))
            customers = {ref: f"C{n}" for n, group in enumerate(groups, 1) for ref in group}
    _write(target, customers)
    number = len(set(customers.values()))
    out.print(f"{len(customers):,} records are {number:,} customers: {target}", highlight=False)


@identity.command("train")
@click.argument("path", type=IN, required=False)
@click.option("--out", "target", type=click.Path(dir_okay=False, path_type=Path))
@region_option
def train(path: Path | None, target: Path | None, region: str) -> None:
    """Learn weights without labels: from the hub's own records, or from a file into a file.

    What is learned from the hub's records is used there at once, and all is decided anew.

    无需标注即可学习权重：默认从系统自己的记录学习并启用；也可从文件学习并写入文件。
    """
    if path is None and target is None:
        _train_store()
        return
    if not path or not target:
        raise click.UsageError("a file needs --out, and the hub's own records neither")
    with _no_collector():
        weights = training.learn(Batch(_newest(_records(path, region))), documents.shipped())
    target.write_bytes(documents.dumps(weights) + b"\n")
    out.print(f"weights {weights.version}: {target}", highlight=False)


def _train_store() -> None:
    with opened() as hub, _no_collector():
        version, job = people.learn(hub, actor=ACTOR)
    if job is None:
        out.print(f"weights {version} are in use already", highlight=False)
    else:
        out.print(f"weights {version} are in use; see: hub jobs show {job}", highlight=False)


@identity.command("rerun")
def rerun() -> None:
    """Decide anew about every record of the hub, in the background.

    在后台重新判定全部记录的归属。
    """
    with opened() as hub:
        job = people.rerun(hub, actor=ACTOR)
    out.print(f"job {job} is on its way; see: hub jobs show {job}", highlight=False)


@click.group("review")
def review() -> None:
    """Pairs of records that only a person can decide.

    待人工判断的记录对。
    """


@review.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20)
@json_option
def review_list(limit: int, *, as_json: bool) -> None:
    """Pairs that may be one customer, nearest to a match first, with what speaks for and against.

    可能是同一客户的记录对：最接近匹配的在前，并列出证据。
    """
    with opened() as hub, hub.database.read() as conn:
        doubts, total = people.doubts(conn, limit), reviews.count(conn)
    if as_json:
        show_json({"items": doubts, "total": total})
        return
    for doubt in doubts:
        for side in ("a", "b"):
            told = doubt[side]
            said = " · ".join([told["name"] or "—", *told["known"]])
            out.print(f"[bold]{plain(told['ref'])}[/bold]  {plain(said)}", highlight=False)
        fields = ", ".join(f"{e['field']} {e['level']} {e['bits']:+}" for e in doubt["evidence"])
        out.print(f"  {doubt['bits']:+} bits: {fields}\n", highlight=False)
    out.print(
        f"{total} in all. Decide with: hub review confirm A B, or reject A B", highlight=False
    )


def _word(verb: str, english: str, chinese: str) -> click.Command:
    @click.argument("a")
    @click.argument("b")
    @why_option
    @json_option
    def word(a: str, b: str, why: str, *, as_json: bool) -> None:
        with opened() as hub:
            _show_outcome(people.say(hub, verb, a, b, actor=ACTOR, why=why), as_json=as_json)

    return review.command(verb, help=f"{english}\n\n{chinese}")(word)


confirm = _word(
    "confirm",
    "Two records, each connection/stream/id, are one customer, for ever.",
    "两条记录是同一个客户，永久有效。",
)
reject = _word(
    "reject",
    "Two records, each connection/stream/id, are never one customer.",
    "两条记录不是同一个客户，永久有效。",
)


def _show_outcome(found: people.Outcome, *, as_json: bool) -> None:
    if as_json:
        show_json({**found._asdict(), "offers": [offer._asdict() for offer in found.offers]})
        return
    number = "one customer" if len(found.customers) == 1 else f"{len(found.customers)} customers"
    out.print(f"they are {number}: {', '.join(found.customers)}", highlight=False)
    if found.writes:
        out.print(f"{len(found.writes)} writes are queued; see: hub deliveries list")
    for offer in found.offers:
        told = f"{offer.ref} {offer.path}: {offer.shows!r} is from {offer.source}"
        out.print(f"{plain(told)}; before: {plain(repr(offer.before))}", highlight=False)


@identity.command("merge")
@click.argument("customer")
@click.argument("other")
@why_option
@json_option
def merge(customer: str, other: str, why: str, *, as_json: bool) -> None:
    """Make two customers one; both ids lead to it from now on.

    将两个客户合并；两个编号今后都指向同一客户。
    """
    with opened() as hub:
        found = people.merge(hub, customer, other, actor=ACTOR, why=why)
    _show_outcome(found, as_json=as_json)


@identity.command("split")
@click.argument("customer")
@click.argument("refs", metavar="RECORD...", nargs=-1, required=True)
@click.option("--write-back", is_flag=True, help="Also write the values that are offered.")
@why_option
@json_option
def split(
    customer: str, refs: tuple[str, ...], why: str, *, write_back: bool, as_json: bool
) -> None:
    """Take records, each connection/stream/id, out of a customer; what belongs to them follows.

    Values that the parted records have of one another are listed with what stood there before.

    将记录从客户中拆出，其名下的事实随之转移；并列出它们彼此沿用的值及原值，可用 --write-back 写回。
    """
    with opened() as hub:
        found = people.split(hub, customer, refs, actor=ACTOR, why=why, write_back=write_back)
    _show_outcome(found, as_json=as_json)


@identity.command("explain")
@click.argument("a")
@click.argument("b")
@click.option("--in", "path", required=True, type=IN, help="Where the records stand.")
@weights_option
@region_option
@json_option
def explain(
    a: str, b: str, path: Path, weights_path: Path | None, region: str, *, as_json: bool
) -> None:
    """Why two records of a file, each ``source:source_id``, are one customer or not."""
    batch = Batch(_newest(_records(path, region)))
    scorer = Scorer(_weights(weights_path, batch), batch.spreads)
    by_name = {":".join(t.ref): t for t in batch.records}
    for name in (a, b):
        if name not in by_name:
            raise ConfigError(f"{path} holds no record {name!r}", hint="Write it source:source_id.")
    _show_why(people.weighed(by_name[a], by_name[b], scorer), as_json=as_json)


@click.command("explain")
@click.argument("a")
@click.argument("b")
@json_option
def explain_stored(a: str, b: str, *, as_json: bool) -> None:
    """Why two records of the hub, each connection/stream/id, are one customer or not.

    两条记录为何是（或不是）同一个客户：逐项证据、规则与历次判定。
    """
    with opened() as hub, hub.database.read() as conn:
        told = people.explain(conn, a, b)
    if told is None:
        raise ConfigError("one of them is no party record", hint="Write both connection/stream/id.")
    _show_why(told, as_json=as_json)
    if not as_json:
        one, other = (told["customers"][name] for name in (a, b))
        out.print(f"\nnow {'one customer' if one == other else 'two customers'}", highlight=False)
        if told["decisions"]:
            show(told["decisions"], ("at", "verb", "actor", "why", "a", "b"), as_json=False)


def _show_why(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(told)
        return
    show(told["evidence"], ("field", "level", "bits"), as_json=False)
    bits = f"prior {told['prior_bits']}, together {told['bits']} bits"
    out.print(f"\n{bits}: [bold]{told['verdict']}[/bold]")
    for guard in told["guards"]:
        out.print(f"guard: {guard}")


def _weights(path: Path | None, batch: Batch) -> Weights:
    if path is None:
        return training.learn(batch, documents.shipped())
    try:
        return documents.loads(path.read_bytes())
    except ValueError as exc:
        raise ConfigError(
            f"{path} holds no weights", hint="Write them with: hub identity train"
        ) from exc


def _newest(records: Iterable[Traits]) -> Iterable[Traits]:
    """The last record of each key: a file may hold several versions of one."""
    return {t.ref: t for t in records}.values()


def _streamed(path: Path, region: str, weights: Weights) -> dict[Ref, str]:
    index, numbers = MemoryIndex(), count(1)
    current: dict[str, str] = {}
    refs: dict[str, Ref] = {}
    for after in _records(path, region):
        refs["\n".join(after.ref)] = after.ref
        found = settle(index, [index.put(after)], weights)
        parts = [Part({"\n".join(ref) for ref in group.refs}) for group in found.groups]
        known = {ref: current[ref] for part in parts for ref in part.refs if ref in current}
        current |= assign(parts, known, fresh=lambda: f"C{next(numbers)}").links
    return {refs[ref]: id_ for ref, id_ in current.items()}


def _write(target: Path, customers: Mapping[Ref, str]) -> None:
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "source_id", "customer_id"))
        writer.writerows((*ref, id_) for ref, id_ in customers.items())


# ---- reading


def _records(path: Path, region: str) -> Iterator[Traits]:
    """The records of a file, in its order, read by every processor."""
    with _opened(path) as file:
        chunks = _chunks(file, region)
        if path.stat().st_size < PARALLEL_BYTES or (os.cpu_count() or 1) < 2:
            for chunk in chunks:
                yield from _read(chunk)
            return
        with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
            for found in pool.imap(_read, chunks):
                yield from found


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _chunks(file: IO[bytes], region: str) -> Iterator[tuple[int, str, list[bytes]]]:
    first = 1
    while lines := list(islice(file, CHUNK)):
        yield first, region, lines
        first += len(lines)


def _read(chunk: tuple[int, str, list[bytes]]) -> list[Traits]:
    first, region, lines = chunk
    found = []
    for number, line in enumerate(lines, first):
        if line.strip():
            try:
                found.append(read_traits(orjson.loads(line), region))
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise ConfigError(
                    f"line {number} is no customer record",
                    hint="A record is a JSON object with source and source_id.",
                ) from exc
    return found


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of small objects that all stay: looking through them finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


COMMANDS: tuple[click.Command, ...] = (identity, review, explain_stored)
