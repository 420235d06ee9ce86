from __future__ import annotations

from scheduler.ledger import Order, OrderKind
from worker_agent.posted import Posted


def run(job: str, attempt: int = 1) -> Order:
    return Order(OrderKind.RUN, "host-0", job, attempt)


def test_a_first_attempt_bears_its_jobs_id_and_later_ones_do_not() -> None:
    posted = Posted(lambda: "fresh")
    assert posted.uuid(run("j")) == "j"
    assert posted.uuid(run("j", 2)) == "fresh"


def test_an_id_that_the_worker_has_seen_is_not_used_again() -> None:
    posted = Posted(lambda: "fresh")
    posted.note("adopted")
    posted.uuid(run("j"))
    # a server that lost the admission counts anew
    assert [posted.uuid(run(job)) for job in ("j", "adopted")] == ["fresh", "fresh"]
