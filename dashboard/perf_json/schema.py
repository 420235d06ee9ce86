"""Writes the JSON Schema: ``python -m dashboard.perf_json.schema`` after a change of the types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from dashboard.perf_json.shapes import VERSION, Perf

_ROOT: Final = Path(__file__).resolve().parents[2]
#: for everybody
DOCS: Final = _ROOT / "docs" / "perf.schema.json"
#: for the Replay page, which checks files with it
PAGE: Final = _ROOT / "dashboard" / "ui" / "src" / "recording" / "perf.schema.json"


def schema() -> dict[str, Any]:
    """The schema, of draft 2020-12."""
    found: dict[str, Any] = msgspec.json.schema(Perf)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated from dashboard/perf_json/shapes.py; docs/perf-json.md explains it.",
        "title": f"vramgate .perf.json, version {VERSION}",
        **found,
    }


def text() -> str:
    """What lies in ``docs/``."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def page_text() -> str:
    """The same without words for people, as the page wants it."""
    return json.dumps(_bare(schema()), separators=(",", ":")) + "\n"


def _bare(value: Any, *, names: bool = False) -> Any:
    """Without titles and descriptions; ``names``: its keys are names of properties."""
    if isinstance(value, dict):
        spoken = () if names else ("title", "description", "default", "$comment", "$schema")
        return {
            key: _bare(one, names=key in ("properties", "$defs") and not names)
            for key, one in value.items()
            if key not in spoken
        }
    return [_bare(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    DOCS.write_text(text(), encoding="utf-8")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page_text(), encoding="utf-8")
