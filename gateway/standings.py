"""Where running jobs stand, node by node, for pages that show many of them at once.

Agents tell it of everybody who has a client here, and of those whom a page wants to glance at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.live import LiveFrame, Standing


@dataclass(slots=True)
class _Newest:
    """The newest of each kind that tells something."""

    attempt: int
    agent: str
    node: str = ""
    since_ms: int = 0
    states: Mapping[str, Any] | None = None


class Standings:
    """Takes what agents say; answers at any time.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: dict[str, _Newest] = {}
        self._listeners: list[Callable[[], None]] = []
        #: whose jobs are wanted beside those of this gateway's clients
        self.users: frozenset[str] = frozenset()

    def follow(self, users: frozenset[str]) -> None:
        """From now on, hear of these users' running jobs, too."""
        if users != self.users:
            self.users = users
            for listener in self._listeners:
                listener()

    def on_users_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``users`` has changed."""
        self._listeners.append(listener)

    def take(self, agent: str, frame: LiveFrame) -> None:
        """One message of a running job."""
        message = frame.message or {}
        data = message.get("data")
        if frame.end:
            self.close(frame.job, frame.attempt)
        if frame.end or not isinstance(data, dict):
            return
        job = self._jobs.get(frame.job)
        if job is None or job.attempt < frame.attempt:
            job = self._jobs[frame.job] = _Newest(frame.attempt, agent)
        match message.get("type"):
            case "executing":
                self._run(job, data.get("display_node") or data.get("node"))
            case "progress_state" if isinstance(data.get("nodes"), dict):
                job.states = data["nodes"]
                self._run(job, _running(data["nodes"]) or job.node)

    def lost(self, agent: str) -> None:
        """What the agent said is stale."""
        self._jobs = {id_: job for id_, job in self._jobs.items() if job.agent != agent}

    def close(self, job: str, attempt: int) -> None:
        """The attempt is over."""
        known = self._jobs.get(job)
        if known is not None and known.attempt <= attempt:
            del self._jobs[job]

    def standings(self) -> Mapping[str, Standing]:
        """Where they stand, by job."""
        return {id_: _standing(job) for id_, job in self._jobs.items() if job.node}

    def _run(self, job: _Newest, node: object) -> None:
        if isinstance(node, str) and node != job.node:
            job.node, job.since_ms = node, int(self._clock() * 1000)


def _running(states: Mapping[str, Any]) -> str:
    for id_, state in states.items():
        if isinstance(state, dict) and state.get("state") == "running":
            return str(state.get("display_node_id") or id_)
    return ""


def _standing(job: _Newest) -> Standing:
    states = [one for one in (job.states or {}).values() if isinstance(one, dict)]
    at: Mapping[str, Any] = next((one for one in states if one.get("state") == "running"), {})
    return Standing(
        node=job.node,
        value=_number(at.get("value")),
        most=_number(at.get("max")),
        done=sum(one.get("state") == "finished" for one in states),
        since_ms=job.since_ms,
    )


def _number(value: object) -> float:
    # a node pack may say anything; no number, and none that JSON has no word for
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0
