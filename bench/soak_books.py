"""What was posted in a soak, and what became of each of it: nothing lost, nothing ended twice."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from scheduler.ledger import EventKind, LedgerUnavailable
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState

#: sentences about what went wrong that are kept; more would say nothing new
_TOLD: Final = 20


@dataclass(slots=True)
class Posted:
    """One prompt, known by its colour."""

    user: str
    prompt_id: str
    #: RGB of the picture that it must give
    colour: int
    cancelled: bool = False
    #: its own picture was seen
    shown: bool = False
    settled: list[JobState] = field(default_factory=list)


class Books:
    """All prompts of a soak."""

    def __init__(self) -> None:
        self.jobs: dict[str, Posted] = {}
        #: what people did, by name
        self.counts: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._told: list[str] = []
        #: ends that came before the answer to their POST was read
        self._early: dict[str, list[JobState]] = {}

    def posted(self, user: str, prompt_id: str, colour: int) -> Posted:
        """Enter a prompt that was accepted."""
        if prompt_id in self.jobs:
            self.wrong("id_twice", f"{prompt_id} was given to two prompts")
        job = Posted(user, prompt_id, colour, settled=self._early.pop(prompt_id, []))
        self.jobs[prompt_id] = job
        self.counts["posted"] += 1
        return job

    def wrong(self, what: str, sentence: str) -> None:
        """Note that something happened which must not."""
        self._wrong[what] += 1
        if len(self._told) < _TOLD:
            self._told.append(f"{what}: {sentence}")

    def settled(self, prompt_id: str, state: JobState) -> None:
        """The ledger says that a prompt has ended."""
        job = self.jobs.get(prompt_id)
        ends = self._early.setdefault(prompt_id, []) if job is None else job.settled
        ends.append(state)

    @property
    def ended(self) -> int:
        """Prompts that the ledger has ended."""
        return sum(1 for job in self.jobs.values() if job.settled)

    def unfinished(self) -> Iterator[Posted]:
        """Prompts that have not ended."""
        return (job for job in self.jobs.values() if not job.settled)

    def check_picture(self, job: Posted, picture: bytes) -> None:
        """Whether a picture is the prompt's own."""
        try:
            colours = Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1)
        except OSError as error:
            self.wrong("no_picture", f"{job.prompt_id}: {error}")
            return
        wanted = (job.colour >> 16, job.colour >> 8 & 0xFF, job.colour & 0xFF)
        if not colours or colours[0][1] != wanted:
            self.wrong("wrong_picture", f"{job.prompt_id} of {job.user} shows {colours}")
        else:
            job.shown = True

    def check_ends(self, job: Posted) -> None:
        """Whether a prompt has ended once, and as it should."""
        if not job.settled:
            self.wrong("lost", f"{job.prompt_id} of {job.user} never ended")
            return
        if len(job.settled) > 1:
            self.wrong("ended_twice", f"{job.prompt_id} of {job.user}: {job.settled}")
        state = job.settled[0]
        if state is JobState.CANCELLED and not job.cancelled:
            self.wrong("stopped_by_nobody", f"{job.prompt_id} of {job.user}")
        elif state not in (JobState.SUCCEEDED, JobState.CANCELLED):
            self.wrong("failed", f"{job.prompt_id} of {job.user} is {state.value}")

    def image(self, job: Posted, entry: Mapping[str, Any] | None) -> dict[str, str] | None:
        """The picture that the history names; one that has succeeded must have one."""
        if job.settled[:1] != [JobState.SUCCEEDED]:
            return None
        images = _images(entry)
        if not images:
            self.wrong("no_entry", f"{job.prompt_id} of {job.user} is not in the history")
        return images[0] if images else None

    def report(self) -> dict[str, Any]:
        """Figures for JSON."""
        states = Counter(job.settled[0] for job in self.jobs.values() if job.settled)
        return {
            "posted": len(self.jobs),
            "succeeded": states[JobState.SUCCEEDED],
            "cancelled": states[JobState.CANCELLED],
            "pictures_seen": sum(1 for job in self.jobs.values() if job.shown),
            "unaccounted": sum(self._wrong.values()),
            "wrong": dict(self._wrong),
            "told": self._told,
            "done": dict(sorted(self.counts.items())),
        }


def _images(entry: Mapping[str, Any] | None) -> list[dict[str, str]]:
    outputs = (entry or {}).get("outputs") or {}
    images = [image for output in outputs.values() for image in output.get("images", [])]
    return [image for image in images if image.get("type") == "output"]


async def follow(ledger: RedisLedger, books: Books, cursor: str) -> None:
    """Enter every end that the ledger tells of, until cancelled."""
    while True:
        try:
            events = await ledger.events(cursor, 1000)
        except LedgerUnavailable:
            await asyncio.sleep(0.5)
            continue
        for event in events:
            cursor = event.id
            if event.kind is EventKind.SETTLED and event.state is not None:
                books.settled(event.prompt_id, event.state)
