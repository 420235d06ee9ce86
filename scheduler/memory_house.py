"""Housekeeping, profiles, overrides and following of the in-memory ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.bookkeeping import EVENTS_KEPT_MS, SEQUENCES_PER_MS, UNRECORDED_FACTOR, event_score
from scheduler.ledger_values import Event, EventKind, Pool, UserCounts
from scheduler.memory_files import forget_file
from scheduler.memory_plan import BooksPlan
from scheduler.memory_records import UserRecord


class BooksHouse(BooksPlan):
    """The part of ``PlanSide`` that drops things and learns."""

    def trim(self, epoch: int, keep: int, older_than_ms: int) -> int:
        """Drop ended jobs beyond ``keep`` per user or older, once the recorder has them."""
        if not self.is_leader(epoch):
            return 0
        now = self.clock_ms()
        recorded = self.stream.recorded_score()
        if recorded is None:
            keep, older_than_ms = keep * UNRECORDED_FACTOR, older_than_ms * UNRECORDED_FACTOR
        horizon = event_score(f"{max(now - older_than_ms, 0)}-0")
        limit = event_score(f"{now + 1}-0") if recorded is None else recorded
        dropped = 0
        for user in self.users.values():
            for listing in (user.done, user.hidden):
                if listing:
                    dropped += self._trim_list(user, listing, keep, horizon, limit)
        if recorded is not None:
            self.stream.trim(min(recorded // SEQUENCES_PER_MS, now - EVENTS_KEPT_MS))
        return dropped

    def _trim_list(
        self, user: UserRecord, listing: dict[str, int], keep: int, horizon: int, limit: int
    ) -> int:
        oldest = sorted(listing.items(), key=lambda entry: (entry[1], entry[0]))
        surplus = len(oldest) - keep
        dropped = 0
        for n, (job_id, score) in enumerate(oldest):
            if (n < surplus or score <= horizon) and score <= limit:
                del listing[job_id]
                self._forget_job(user, job_id)
                user.changed = f"trimmed {job_id}"
                dropped += 1
        return dropped

    def _forget_job(self, user: UserRecord, job_id: str) -> None:
        record = self.records.pop(job_id)
        # A hidden job's prompt_id may be another job's by now.
        if user.prompt_ids.get(record.job.prompt_id, (0, ""))[1] == job_id:
            del user.prompt_ids[record.job.prompt_id]
        user.keys.pop(record.key, None)
        for field in record.outputs:
            forget_file(user, job_id, field)
        self.bodies.pop(job_id, None)
        self.outcomes.pop(job_id, None)

    # ── learning ─────────────────────────────────────────────────────────────

    def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """What was learned of each fingerprint, in the order asked."""
        return [self.learned.get(one) for one in fingerprints]

    def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        """Store what a closed attempt taught; each attempt counts once."""
        record = self.records.get(job_id)
        if not self.is_leader(epoch) or record is None or record.closed is None:
            return False
        if record.learned != record.closed:
            self.learned.update(profiles)
            record.learned = record.closed
        return True

    def all_profiles(self) -> dict[str, bytes]:
        """Everything that was learned, by fingerprint."""
        return dict(self.learned)

    def put_profiles(self, profiles: Mapping[str, bytes]) -> None:
        """Store profiles as they are, over those of the same fingerprint."""
        self.learned.update(profiles)

    # ── following ────────────────────────────────────────────────────────────

    def events(self, after: str) -> list[Event]:
        """Events after the cursor, at most a thousand."""
        return self.stream.after(after)

    def pool(self) -> Pool:
        """Agents, workers, GPUs and gateways as last reported."""
        now = self.clock_ms()
        return Pool(
            now_ms=now,
            agents=dict(sorted(self.agents.items())),
            workers={name: self.worker(record) for name, record in sorted(self.workers.items())},
            gpus=dict(sorted(self.gpus.items())),
            gateways={
                name: url for name, (until, url) in sorted(self.gateways.items()) if until >= now
            },
        )

    def counts(self) -> list[UserCounts]:
        """Queued (held ones too) and running jobs of every user who has any."""
        return [
            UserCounts(user=name, queued=len(user.queue) + len(user.held), running=len(user.active))
            for name, user in sorted(self.users.items())
            if user.unfinished
        ]

    def announce_gateway(self, gateway: str, url: str, ttl_ms: int) -> None:
        """Tell agents where a gateway answers (for input files)."""
        self.gateways[gateway] = (self.clock_ms() + ttl_ms, url)

    # ── admin edits ──────────────────────────────────────────────────────────

    def override(self, changes: Mapping[str, str | None]) -> int:
        """Set (JSON text) or clear (None) overrides; the new revision."""
        call = self.new_call()
        if call == self.override_call:
            return self.override_rev
        self.override_call = call
        for path, text in changes.items():
            if text is None:
                self.overrides.pop(path, None)
            else:
                self.overrides[path] = text
        self.override_rev += 1
        self.emit(EventKind.OVERRIDES, reason=str(self.override_rev))
        return self.override_rev

    def note(self, name: str, text: str, ttl_ms: int, *, replace: bool = False) -> str:
        """Keep a text; one that is there already stays unless it is to be replaced."""
        kept = None if replace else self.noted(name)
        kept = text if kept is None else kept
        self.notes[name] = (self.clock_ms() + ttl_ms, kept)
        return kept

    def noted(self, name: str) -> str | None:
        """The text kept under this name, or None."""
        until, text = self.notes.get(name, (0, ""))
        if until > self.clock_ms():
            return text
        self.notes.pop(name, None)
        return None
