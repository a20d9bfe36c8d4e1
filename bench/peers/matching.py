"""What customer matching is compared with; runs in an environment of its own.

``python -m bench.peers.matching PEER IN.jsonl OUT.csv [TRUTH.csv]`` prints JSON;
``python -m bench.peers.matching febrl FOLDER`` writes the FEBRL sets of recordlinkage as records.
Each peer sees the same columns, prepared the same way, and is set up as its manual begins.
"""

from __future__ import annotations

import csv
import json
import random
import re
import sys
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.measures import joined
from bench.measuring import Measured

warnings.filterwarnings("ignore")

Ref = tuple[str, str]
COLUMNS = ("name", "phone", "email", "company", "street", "city", "postcode", "born")
KEYS = ("phone", "email", "name", "born", "postcode")
LABELS = 120
"""Pairs dedupe is shown the truth of; the others, and we, see none."""


def table(path: Path) -> dict[Ref, dict[str, str | None]]:
    """The records as columns: lower case, the last digits of a phone."""
    rows = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    return {(row["source"], row["source_id"]): _columns(row) for row in rows}


def _columns(row: dict[str, Any]) -> dict[str, str | None]:
    more = row.get("attributes") or {}
    digits = [re.sub(r"\D", "", phone)[-10:] for phone in row.get("phones") or () if phone]
    found = {
        "name": row.get("name"),
        "phone": next((number for number in digits if len(number) > 6), None),
        "email": next(iter(row.get("emails") or ()), None),
        "company": row.get("company"),
        "street": more.get("street") or row.get("address"),
        "city": more.get("city"),
        "postcode": more.get("postcode"),
        "born": more.get("birth_date"),
    }
    return {key: (value or "").strip().lower() or None for key, value in found.items()}


def splink(records: dict[Ref, dict[str, str | None]], _: Path | None) -> dict[Ref, Any]:
    """Jaro-Winkler and exact comparisons, weights by expectation maximisation, 0.95."""
    import pandas
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    refs = list(records)
    frame = pandas.DataFrame([{"unique_id": n, **records[ref]} for n, ref in enumerate(refs)])
    used = [column for column in COLUMNS if frame[column].notna().mean() > 0.05]
    keys = [key for key in KEYS if key in used]
    exact = {"city", "postcode"}
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.ExactMatch(c) if c in exact else cl.JaroWinklerAtThresholds(c, [0.9, 0.7])
            for c in used
        ],
        blocking_rules_to_generate_predictions=[block_on(key) for key in keys],
    )
    api = DuckDBAPI()
    linker = (
        Linker(api.register(frame) if hasattr(api, "register") else frame, settings)
        if (_takes_registered())
        else Linker(frame, settings, db_api=api)
    )
    linker.training.estimate_probability_two_random_records_match(
        [block_on(key) for key in keys], recall=0.8
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
    for key in keys[:3]:
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(key))
        except Exception as exc:  # noqa: BLE001 - a key without pairs teaches nothing
            print(exc, file=sys.stderr)
    found = linker.inference.predict(threshold_match_probability=0.95)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(found, 0.95)
    frame = clusters.as_pandas_dataframe()
    return {refs[n]: c for n, c in zip(frame["unique_id"], frame["cluster_id"], strict=True)}


def _takes_registered() -> bool:
    import splink as package

    return int(package.__version__.split(".")[0]) >= 5


def recordlinkage(records: dict[Ref, dict[str, str | None]], _: Path | None) -> dict[Ref, Any]:
    """Blocks on each key, Jaro-Winkler, and its classifier without labels (ECM)."""
    import pandas
    import recordlinkage as package

    refs = list(records)
    frame = pandas.DataFrame([records[ref] for ref in refs])
    used = [column for column in COLUMNS if frame[column].notna().mean() > 0.05]
    indexer = package.Index()
    for key in KEYS:
        if key in used:
            indexer.block(key)
    compare = package.Compare()
    for column in used:
        compare.string(column, column, method="jarowinkler", threshold=0.85, label=column)
    pairs = indexer.index(frame)
    pairs = pairs[frame[list(KEYS)].notna().any(axis=1).to_numpy()[pairs.get_level_values(0)]]
    matches = package.ECMClassifier().fit_predict(compare.compute(pairs, frame))
    return joined([(refs[a], refs[b]) for a, b in matches])


def dedupe(records: dict[Ref, dict[str, str | None]], truth: Path | None) -> dict[Ref, Any]:
    """Learns from labelled pairs; fields as in its examples."""
    import dedupe as package

    if truth is None:
        raise SystemExit("dedupe needs the truth of some pairs")
    named = {"\n".join(ref): row for ref, row in records.items()}
    used = [
        c for c in COLUMNS if sum(row[c] is not None for row in named.values()) > len(named) / 20
    ]
    fields = [package.variables.String(column, has_missing=True) for column in used]
    deduper = package.Dedupe(fields, num_cores=1)
    deduper.prepare_training(named, sample_size=1500)
    same, different = _labels(records, truth)
    shown = {
        "match": [_rows(named, p) for p in same],
        "distinct": [_rows(named, p) for p in different],
    }
    deduper.mark_pairs(shown)
    deduper.train()
    found = deduper.partition(named, 0.5)
    return {tuple(id_.split("\n", 1)): n for n, (ids, _) in enumerate(found) for id_ in ids}


def _rows(named: dict[str, Any], pair: tuple[Ref, Ref]) -> tuple[Any, Any]:
    return named["\n".join(pair[0])], named["\n".join(pair[1])]


def _labels(records: dict[Ref, Any], truth: Path) -> tuple[list[Any], list[Any]]:
    of: dict[str, list[Ref]] = {}
    for row in csv.DictReader(truth.open(encoding="utf-8")):
        of.setdefault(row["entity_id"], []).append((row["source"], row["source_id"]))
    chance = random.Random(1)
    several = [refs for refs in of.values() if len(refs) > 1]
    same = [
        chance.choice(list(combinations(refs, 2))) for refs in chance.sample(several, LABELS // 2)
    ]
    groups = [chance.sample(list(of), 2) for _ in range(LABELS // 2)]
    return same, [(of[a][0], of[b][0]) for a, b in groups]


def febrl(folder: Path) -> None:
    """The sets as records of our contract, with their truth."""
    from recordlinkage import datasets

    for number in (1, 2, 3, 4):
        *frames, links = getattr(datasets, f"load_febrl{number}")(return_links=True)
        group = joined([(("", a), ("", b)) for a, b in links])
        with (
            (folder / f"febrl{number}.jsonl").open("w") as records,
            (folder / f"febrl{number}.truth.csv").open("w") as truth,
        ):
            print("source,source_id,entity_id", file=truth)
            for source, frame in zip("ab", frames, strict=False):
                for id_, record in _febrl(source, frame):
                    print(json.dumps(record), file=records)
                    print(source, id_, group.get(("", id_), id_), sep=",", file=truth)


def _febrl(source: str, frame: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for id_, row in frame.iterrows():
        v = {key: str(value) for key, value in row.items() if value == value}
        born = v.get("date_of_birth", "")
        attributes = {
            "given_name": v.get("given_name"),
            "family_name": v.get("surname"),
            "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else None,
            "street_number": v.get("street_number"),
            "street": v.get("address_1"),
            "address_2": v.get("address_2"),
            "city": v.get("suburb"),
            "postcode": v.get("postcode"),
            "state": v.get("state"),
        }
        name = " ".join(v[key] for key in ("given_name", "surname") if key in v)
        ids = {"national_id": v["soc_sec_id"]} if "soc_sec_id" in v else {}
        yield (
            str(id_),
            {
                "source": source,
                "source_id": str(id_),
                "kind": "person",
                "name": name or None,
                "identifiers": ids,
                "attributes": {key: value for key, value in attributes.items() if value},
            },
        )


def main() -> None:
    peer, *paths = sys.argv[1:]
    if peer == "febrl":
        febrl(Path(paths[0]))
        return
    source, target, *truth = map(Path, paths)
    with Measured() as run:
        found = {"splink": splink, "recordlinkage": recordlinkage, "dedupe": dedupe}[peer](
            table(source), truth[0] if truth else None
        )
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "source_id", "customer_id"))
        writer.writerows((*ref, group) for ref, group in found.items())
    print(json.dumps(run.told()))


if __name__ == "__main__":
    main()
