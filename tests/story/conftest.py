"""Databases to tell the stories on: SQLite always, PostgreSQL where it answers."""

from __future__ import annotations

import os
import socket

import pytest

POSTGRESQL = os.environ.get("HUB_TEST_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
REQUIRED = [name for name in os.environ.get("HUB_TEST_REQUIRE", "").split(",") if name]
PORTS = {"postgresql": 5432, "rabbitmq": 5672, "redis": 6379}


def answers(service: str) -> bool:
    """Whether the service answers on its standard local port; a required one must."""
    try:
        socket.create_connection(("127.0.0.1", PORTS[service]), 1).close()
    except OSError:
        if service in REQUIRED:
            pytest.fail(f"{service} is required and does not answer on port {PORTS[service]}")
        return False
    return True
