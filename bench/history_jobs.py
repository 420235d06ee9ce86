"""What the pages of jobs and workflows ask, and a workflow of 2,000 nodes to ask it of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from bench import history_rows as rows
from dashboard.insight.names import Names
from store import schema
from store.job_list import JobFilter, SqlJobs
from store.timeline import SqlTimelines
from store.workflow_nodes import SqlWorkflowNodes
from store.workflows import SqlWorkflows

#: the fingerprint of the large one
LARGE: Final = "fp-large"
#: its runs, and nodes of each
_LARGE_RUNS: Final = 30
_LARGE_NODES: Final = 2000


def large(season: rows.Season) -> Iterator[rows.JobRows]:
    """Runs of the workflow of 2,000 nodes, over the last day."""
    few = replace(season, jobs=_LARGE_RUNS, nodes_each=_LARGE_NODES, days=1, workflows=1)
    for one in rows.jobs(few, seed=5):
        yield replace(one, job=one.job | {"fingerprint": LARGE, "state": "SUCCEEDED"})


async def queries(
    engine: AsyncEngine, season: rows.Season
) -> dict[str, Callable[[], Awaitable[Any]]]:
    """By page."""
    now, start = season.until_ms, season.from_ms
    jobs, times = SqlJobs(engine), SqlTimelines(engine)
    work, nodes = SqlWorkflows(engine), SqlWorkflowNodes(engine)
    seldom = JobFilter(states=("CANCELLED",), from_ms=start)
    failed = JobFilter(states=("FAILED",), from_ms=start)
    mine = JobFilter(user="user-1", states=("FAILED",), from_ms=start)
    of_kind = JobFilter(fingerprint="fp-0001", from_ms=start, until_ms=now)
    (big,) = await jobs.page(JobFilter(fingerprint=LARGE), most=1)
    async with engine.connect() as connection:
        kinds = (await connection.execute(_KINDS)).scalars().all()

    async def name_many() -> None:
        await Names(jobs).of(kinds)

    return {
        "jobs: a page of all": lambda: jobs.page(JobFilter(from_ms=start), most=100),
        "jobs: failed ones, 90 days": lambda: jobs.page(failed, most=100),
        "jobs: a state that there is not, 90 days": lambda: jobs.page(seldom, most=100),
        "jobs: one user's failed ones": lambda: jobs.page(mine, most=100),
        "job: by the id of its client": lambda: jobs.find(big.user_name, big.prompt_id),
        "job: its bodies": lambda: jobs.bodies(big.id),
        "job: what its user waited for, an hour": lambda: jobs.waited(
            "user-1", now - rows.HOUR_MS, now
        ),
        "job: what its user waited for, a week": lambda: jobs.waited(
            "user-1", now - 168 * rows.HOUR_MS, now
        ),
        "job: timeline of 2,000 nodes": lambda: times.read(big.id, shapes=False),
        "job: one of 2,000 nodes": lambda: times.node(big.id, 1, "4"),
        "job: history of one of 2,000 nodes": lambda: times.past(LARGE, "KSampler", now, node="4"),
        "job: 2,000 nodes with what they were given": lambda: times.read(big.id, compare=False),
        "workflows: names of all, none known": name_many,
        "workflows: one's newest 500 jobs": lambda: jobs.page(of_kind, most=500),
        "workflows: one's failing nodes, 90 days": lambda: nodes.failing("fp-0001", start, now),
        "workflows: one's nodes for one user": lambda: nodes.of_user(
            "fp-0001", start, now, "user-1"
        ),
        "workflows: one's trend for one user": lambda: work.days(
            "fp-0001", start, now, user="user-1"
        ),
    }


_KINDS: Final = schema.jobs.select().with_only_columns(schema.jobs.c.fingerprint).distinct()
