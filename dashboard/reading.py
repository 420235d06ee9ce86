"""Everything the dashboard reads from the store, in one hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.samples import fold_gpus, fold_pool
from store.advice import SqlAdvice
from store.alert_messages import SqlAlertMessages
from store.alerts import SqlAlerts
from store.audit import SqlAudit
from store.contention import SqlContention
from store.job_list import SqlJobs
from store.past import SqlPast
from store.recordings import SqlRecordings
from store.samples import SqlSamples
from store.timeline import SqlTimelines
from store.users import SqlUsers
from store.waits import SqlWaits
from store.what_ifs import SqlWhatIfs
from store.workflow_nodes import SqlWorkflowNodes
from store.workflows import SqlWorkflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The store's readers. Whose a row is, the asking resource checks."""

    advice: SqlAdvice
    samples: SqlSamples
    jobs: SqlJobs
    timelines: SqlTimelines
    workflows: SqlWorkflows
    workflow_nodes: SqlWorkflowNodes
    users: SqlUsers
    waits: SqlWaits
    contention: SqlContention
    past: SqlPast
    what_ifs: SqlWhatIfs
    audit: SqlAudit
    recordings: SqlRecordings
    alerts: SqlAlerts
    alert_messages: SqlAlertMessages
    #: ids of new rows, never the same twice
    new_id: Callable[[], str]


def reading(engine: AsyncEngine, clock: Callable[[], float], new_id: Callable[[], str]) -> Reading:
    """All of them over one engine; ``clock``: seconds since the epoch, ``new_id``: for entries."""
    return Reading(
        advice=SqlAdvice(engine),
        samples=SqlSamples(engine, fold_gpus, fold_pool),
        jobs=SqlJobs(engine),
        timelines=SqlTimelines(engine),
        workflows=SqlWorkflows(engine),
        workflow_nodes=SqlWorkflowNodes(engine),
        users=SqlUsers(engine),
        waits=SqlWaits(engine),
        contention=SqlContention(engine),
        past=SqlPast(engine),
        what_ifs=SqlWhatIfs(engine),
        audit=SqlAudit(engine, clock, new_id),
        recordings=SqlRecordings(engine),
        alerts=SqlAlerts(engine, clock, new_id),
        alert_messages=SqlAlertMessages(engine),
        new_id=new_id,
    )
