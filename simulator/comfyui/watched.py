"""Who watches a simulated worker's prompts: its probe, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Watch(Protocol):
    """What the executor tells."""

    def begin(self, prompt: str) -> None:
        """A prompt starts."""

    def found(self, cached: int) -> None:
        """So many of its nodes need not run."""

    def end(self, result: str) -> None:
        """It ended: ``success``, ``error`` or ``interrupted``."""

    def begin_node(self, node: str, class_type: str, inputs: Mapping[str, Any]) -> Any:
        """A node starts; what is returned names it to ``end_node``."""

    def end_node(
        self,
        run: Any,
        outputs: Mapping[str, Any],
        *,
        cached: bool = False,
        error: Exception | None = None,
    ) -> None:
        """It ended, with outputs by name or with an error."""


class Unwatched:
    """Nobody."""

    def begin(self, prompt: str) -> None:
        """A prompt starts."""

    def found(self, cached: int) -> None:
        """So many of its nodes need not run."""

    def end(self, result: str) -> None:
        """It ended."""

    def begin_node(self, node: str, class_type: str, inputs: Mapping[str, Any]) -> Any:
        """A node starts."""

    def end_node(
        self,
        run: Any,
        outputs: Mapping[str, Any],
        *,
        cached: bool = False,
        error: Exception | None = None,
    ) -> None:
        """It ended."""
