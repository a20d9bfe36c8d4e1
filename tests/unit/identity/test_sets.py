"""Customers found in labelled sets, without a look at the labels."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import orjson
import pytest

from bench.measures import Quality, quality
from bench.people import people
from hub.identity import train, weights
from hub.identity.matching import Batch, resolve
from hub.identity.traits import read_traits

DATA = Path(__file__).parents[2] / "data" / "identity"


def measured(records: list[dict[str, object]], truth: dict[tuple[str, str], str]) -> Quality:
    batch = Batch(read_traits(record) for record in records)
    groups = resolve(batch, train.learn(batch, weights.shipped()))
    return quality({ref: n for n, group in enumerate(groups) for ref in group}, truth)


def labelled(name: str) -> Quality:
    with gzip.open(DATA / f"{name}.truth.csv.gz", "rt") as file:
        truth = {(r["source"], r["source_id"]): r["entity_id"] for r in csv.DictReader(file)}
    with gzip.open(DATA / f"{name}.jsonl.gz") as file:
        return measured([orjson.loads(line) for line in file], truth)


@pytest.mark.parametrize(
    ("name", "f1", "precision"), [("fake_1000", 0.94, 0.99), ("cn_dev", 0.93, 0.97)]
)
def test_labelled_sets(name: str, f1: float, precision: float) -> None:
    found = labelled(name)
    assert found.f1 >= f1
    assert found.precision >= precision
    assert found.largest <= 25


@pytest.mark.parametrize("seed", [1, 2])
def test_made_up_sets_nobody_fitted(seed: int) -> None:
    made = list(people(2000, seed=seed))
    truth = {(m.record["source"], m.record["source_id"]): m.entity for m in made}
    found = measured([m.record for m in made], truth)
    assert found.f1 >= 0.91
    assert found.precision >= 0.96
    assert found.largest <= 25


def test_measures() -> None:
    truth = {("s", "1"): "a", ("s", "2"): "a", ("s", "3"): "b"}
    found = quality({("s", "1"): 1, ("s", "2"): 1, ("s", "3"): 1}, truth)
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == 1
    assert found.b3_f1 == pytest.approx(2 * (5 / 9) / (1 + 5 / 9))
