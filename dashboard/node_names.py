"""What running nodes are called: their classes, out of the jobs' prompts, and nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from scheduler.ledger import SubmitSide
from scheduler.live import Standing


class _Node(msgspec.Struct):
    """The part of a node that is read."""

    class_type: str = ""


class _Body(msgspec.Struct):
    """The part of a stored body that is read: nodes by id."""

    prompt: dict[str, _Node]


_decode = msgspec.json.Decoder(_Body).decode


class NodeNames:
    """Reads each running job's prompt once."""

    def __init__(self, ledger: SubmitSide) -> None:
        self._ledger = ledger
        self._classes: dict[str, Mapping[str, str]] = {}

    async def named(self, standings: Mapping[str, Standing]) -> dict[str, Standing]:
        """The same standings with the classes of their nodes, and how many nodes there are.

        Raises:
            LedgerUnavailable: the prompts cannot be read just now.
        """
        new = [job for job in standings if job not in self._classes]
        bodies = await self._ledger.prompts(new) if new else []
        known = {**self._classes, **{job: _classes(b) for job, b in zip(new, bodies, strict=True)}}
        self._classes = {job: known[job] for job in standings}
        return {job: _named(at, known[job]) for job, at in standings.items()}


def _named(at: Standing, classes: Mapping[str, str]) -> Standing:
    if at.class_type or not classes:
        return at
    # a node that was made while the prompt ran has its maker's id in front
    name = classes.get(at.node) or classes.get(at.node.partition(".")[0], "")
    return replace(at, class_type=name, nodes=len(classes))


def _classes(body: bytes | None) -> Mapping[str, str]:
    if body is None:  # trimmed
        return {}
    try:
        return {id_: node.class_type for id_, node in _decode(body).prompt.items()}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}  # its nodes go without names
