"""What the texts of waiting prompts remember."""

from __future__ import annotations

import tracemalloc

from gateway.hub import Hub
from gateway.wait_texts import WaitTexts
from scheduler.ledger import Event, EventKind
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger

_JOBS = 5_000


async def test_of_jobs_of_scripts_nothing_is_remembered_after_the_next_look() -> None:
    ledger = MemoryLedger(Books(lambda: 0, str))
    texts = WaitTexts(Hub(), ledger, lambda: 0.0, lambda _: None)
    await texts.look()
    tracemalloc.start()
    try:
        for n in range(_JOBS):
            for kind in (EventKind.SUBMITTED, EventKind.ADMITTED, EventKind.SETTLED):
                texts.heard(Event(id=f"{n}-0", kind=kind, at_ms=n, job=f"job-{n}", user="ann"))
        heard, _ = tracemalloc.get_traced_memory()
        await texts.look()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heard > 50 * _JOBS, "a look that is under way must know who has left"
    assert kept < heard / 10
