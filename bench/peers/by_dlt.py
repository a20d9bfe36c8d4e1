"""dlt loads the contacts: ``python -m bench.peers.by_dlt SOURCE DATABASE FOLDER`` prints JSON.

Its rest_api source, written as its manual says; merged by primary key, nested values kept as JSON.
It runs in an environment of its own, where nothing of the hub can be imported.
"""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.sources.rest_api import rest_api_source

from bench.measuring import Measured

SOURCE = {
    "client": {"base_url": ""},
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
    "resources": [
        {
            "name": "contacts",
            "max_table_nesting": 0,
            "endpoint": {
                "path": "contacts",
                "params": {"limit": 1000},
                "data_selector": "items",
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "next",
                    "cursor_param": "since",
                },
            },
        }
    ],
}


def main() -> None:
    address, database, folder = sys.argv[1:]
    source = rest_api_source({**SOURCE, "client": {"base_url": address}})
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.postgres(_credentials(database)),
        dataset_name="by_dlt",
    )
    with Measured() as run:
        pipeline.run(source).raise_on_failed_jobs()
    print(json.dumps(run.told()))


def _credentials(database: str) -> dict[str, Any]:
    """The address in parts; dlt insists on a user and a password, even where none are asked."""
    parts = urlsplit(database)
    return {
        "database": parts.path.lstrip("/"),
        "username": parts.username or getpass.getuser(),
        "password": parts.password or "-",
        "host": parts.hostname,
        "port": parts.port or 5432,
    }


if __name__ == "__main__":
    main()
