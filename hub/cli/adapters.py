"""Commands about adapters: what there is, their pages, a skeleton for a new one."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

import click

from hub import mapping
from hub.cli import from_openapi
from hub.cli.base import json_option, out, show
from hub.errors import ConfigError
from hub.registry import ROOT, Manifest, manifests
from hub.sdk import ConnectionConfig, capabilities
from hub.sdk.vendor import Vendor, deletes, level_of, verified
from hub.settings import settings_path
from hub.web import openapi

LEGEND = """
Level: computed from what the contract suite and the rules in `hub/sdk/vendor.py` find; never
claimed.

Deletes: by a `sweep` of all ids, a `count` by day, a `feed` in the pages, a `flag` in the row, an
`event` of a webhook.

Verified against an `account` at the vendor, a real `server`, the vendor's `sdk`, its `api`
description, `vectors` of its signatures, `fixtures` in its shapes.
"""

SKELETON = Path(__file__).with_name("skeleton")


COLUMNS = (
    "name", "title", "streams", "pull", "push", "cursor", "deletes", "webhook", "desk", "level",
    "verified",
)  # fmt: skip


@click.command("adapters")
@json_option
def adapters(*, as_json: bool) -> None:
    """Every adapter found: what it can do, its level, and what it was tried against."""
    show([_row(m) for m in manifests().values()], COLUMNS, as_json=as_json)


def _row(m: Manifest) -> dict[str, Any]:
    vendor = Vendor(m, mapping)
    return {
        "name": m.name,
        "title": m.title,
        "streams": ", ".join(vendor.streams) or ("configured" if vendor.describes else ""),
        "pull": "yes" if "pull" in vendor.verbs else "",
        "push": ", ".join(vendor.writable) or ("configured" if vendor.writes_described else ""),
        "cursor": m.cursor,
        "deletes": ", ".join(deletes(vendor)),
        "webhook": "yes" if m.webhook else "",
        "desk": ", ".join(filter(None, (m.desk and "chat", m.panel and "page"))),
        "level": level_of(vendor),
        "verified": ", ".join(verified(vendor)),
    }


@click.command("docs")
@click.option("--check", is_flag=True, help="Only say whether the pages are true; exit 1 if not.")
def docs(*, check: bool) -> None:
    """Write docs/adapters and docs/openapi.json from manifests, configs, mappings and routes."""
    pages = {f"adapters/{m.name}.md": _page(m) for m in manifests().values()}
    pages |= {"adapters/README.md": _matrix(), "openapi.json": openapi.standalone().decode()}
    stale = [n for n, text in pages.items() if not _is(ROOT / "docs" / n, text)]
    if check:
        for name in stale:
            out.print(f"docs/{name} is not what `hub docs` writes", highlight=False)
        sys.exit(1 if stale else 0)
    for name in stale:
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[name], "utf-8")
    out.print(f"{len(pages)} files, {len(stale)} written", highlight=False)


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


def _matrix() -> str:
    shown = ("adapter", *COLUMNS[2:])
    head = f"| {' | '.join(shown)} |\n|{'---|' * len(shown)}\n"
    rows = (_row(m) for m in manifests().values())
    lines = [
        f"| [{r['title']}]({r['name']}.md) | {' | '.join(r[c] for c in COLUMNS[2:])} |\n"
        for r in rows
    ]
    return f"# Adapters\n\nWritten by `hub docs`.\n\n{head}{''.join(lines)}{LEGEND}"


def _page(m: Manifest) -> str:
    parts = [
        f"# {m.title}",
        f"Written by `hub docs` from `adapters/{m.name}` and `mappings/{m.name}`. "
        f"Set-up: [README](../../adapters/{m.name}/README.md).",
        f"API version {m.api_version}, checked {m.checked_on}: <{m.docs}>",
        "## Connection",
        _config_table(m.config_class()),
    ]
    if m.adapter:
        owner = m.adapter_class()
        rows = "\n".join(
            f"| {s.name} | {'yes' if s.writable else ''} | {s.every_s:g} s |" for s in owner.streams
        )
        parts += [
            "## Streams",
            f"Verbs: {', '.join(capabilities(owner))}",
            f"| stream | writable | pulled every |\n|---|---|---|\n{rows}",
        ]
    for stream, path in m.mapping_files().items():
        text = path.read_text("utf-8")
        spec = mapping.load(text, name=str(path))
        parts += [
            f"## Mapping of {stream} → {', '.join(spec.kinds)}",
            f"```yaml\n{text.rstrip()}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def _config_table(config: type[ConnectionConfig]) -> str:
    rows = []
    for name, field in config.model_fields.items():
        secret = " (secret: write `env:NAME`)" if "Secret" in str(field.annotation) else ""
        default = (
            "required"
            if field.is_required()
            else f"`{field.get_default(call_default_factory=True)!r}`"
        )
        rows.append(f"| `{name}` | {field.description or ''}{secret} | {default} |")
    return "| field | meaning | default |\n|---|---|---|\n" + "\n".join(rows)


@click.command("new-adapter")
@click.argument("name")
@click.option("--title", help="The product's name as people write it.")
@click.option(
    "--from-openapi",
    "description",
    type=click.Path(path_type=Path),
    help="Draft systems/NAME.toml for the adapter rest from this file instead; no code is written.",
)
def new_adapter(name: str, title: str | None, description: Path | None) -> None:
    """Write a skeleton for a vendor; its contract tests pass from the start."""
    if not (name.isidentifier() and name.islower()):
        raise ConfigError(
            f"{name!r} cannot be an adapter's name", hint="Use lower-case letters, digits and _."
        )
    if description is not None:
        _draft_system(name, description)
        return
    if name in manifests() or (ROOT / "adapters" / name).exists():
        raise ConfigError(f'there is already an adapter "{name}"')
    words = {
        "name": name,
        "title": title or name.capitalize(),
        "today": date.today().isoformat(),  # noqa: DTZ011 - the day on this desk's calendar
        "month": date.today().strftime("%Y-%m"),  # noqa: DTZ011
        "klass": "".join(part.capitalize() for part in name.split("_")),
    }
    for template in sorted(SKELETON.rglob("*.tmpl")):
        target = ROOT / str(template.relative_to(SKELETON)).removesuffix(".tmpl").replace(
            "NAME", name
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text("utf-8")).substitute(words), "utf-8")
        out.print(f"wrote {target.relative_to(ROOT)}", highlight=False)
    out.print("Next: CONTRIBUTING.md, “A new vendor”.", highlight=False)


def _draft_system(name: str, description: Path) -> None:
    target = settings_path().parent / "systems" / f"{name}.toml"
    if target.exists():
        raise ConfigError(f"there is already {target}", hint="Give another name, or move it away.")
    text, streams = from_openapi.drafted(from_openapi.read(description), name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    out.print(f"wrote {target}: {', '.join(streams) or 'no stream'}", highlight=False)
    left = text.count("# TODO")
    out.print(f"Next: look at its {left} TODO, then docs/rest.md.", highlight=False)


COMMANDS: tuple[click.Command, ...] = (adapters, docs, new_adapter)
