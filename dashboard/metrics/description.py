"""``/metrics`` in the words of OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe() -> Mapping[str, Any]:
    """``paths`` (below ``/metrics``) and ``schemas``."""
    text = {"schema": {"type": "string"}}
    form = {"text/plain": text, "application/openmetrics-text": text}
    return {
        "paths": {
            "": {
                "get": {
                    "summary": "Figures for Prometheus, for admins and the metrics token",
                    "responses": {
                        "200": {"description": "As docs/metrics.md lists them.", "content": form},
                        "403": {
                            "description": "It is neither of them who asks.",
                            "content": {"text/plain": text},
                        },
                    },
                }
            }
        },
        "schemas": {},
    }
