import { useApi } from "../../api";
import { ago, count, percent, shortId, took } from "../../format";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { go, href, useRoute } from "../../router";
import type { Session } from "../../session";
import type { WorkflowLine, WorkflowList } from "./types";

/** Kinds of workflows, those with most GPU time first. */
export function List({ session }: { session: Session }) {
  const { query } = useRoute();
  const span = useSpan("30d");
  const { data, problem, reload } = useApi<WorkflowList>("workflows", { ...span.query, user: query.user });
  return (
    <div class="page">
      <h1>Workflows</h1>
      <p class="muted">
        Runs of the same models, sampler, size and nodes are one kind: what one of them needed is what the next is
        promised.
      </p>
      <div class="filters">
        <TimeSpan preset="30d" />
      </div>
      {problem && <Problem message={problem.message} retry={reload} />}
      {data && (
        <section class="panel">
          <Table
            caption="Workflows, most GPU time first"
            columns={columns(session.seesAll)}
            rows={data.workflows}
            id={(one) => one.workflow.fingerprint}
            open={(one) => go("workflows", [one.workflow.fingerprint])}
            empty={
              <Empty title="No workflow ran in this time">
                Choose a longer time above. New runs are counted within a minute (vramgate jobs adds them up).
              </Empty>
            }
          />
        </section>
      )}
    </div>
  );
}

function columns(seesAll: boolean): Column<WorkflowLine>[] {
  const users: Column<WorkflowLine> = { key: "users", title: "Users", number: true, wide: true, value: (one) => one.users };
  return [
    {
      key: "name",
      title: "Workflow",
      value: (one) => one.workflow.name,
      show: (one) => (
        <>
          <a href={href("workflows", [one.workflow.fingerprint])}>{one.workflow.name}</a>
          <span class="detail mono">{shortId(one.workflow.fingerprint)}</span>
          {one.failed > 0 && <span class="narrow">{failed(one)}</span>}
        </>
      ),
    },
    {
      key: "jobs",
      title: "Jobs",
      number: true,
      value: (one) => one.jobs,
      show: (one) => one.jobs.toLocaleString("en"),
    },
    {
      key: "failed",
      title: "Failed",
      number: true,
      wide: true,
      value: (one) => one.failed,
      show: (one) => (one.failed ? failed(one) : "0"),
    },
    {
      key: "seconds",
      title: "GPU time a job",
      number: true,
      value: (one) => one.gpu_seconds,
      show: (one) => took(one.gpu_seconds),
    },
    {
      key: "total",
      title: "GPU time in all",
      number: true,
      wide: true,
      value: (one) => one.gpu_seconds * one.jobs,
      show: (one) => took(one.gpu_seconds * one.jobs),
    },
    {
      key: "wait",
      title: "Mean wait",
      number: true,
      wide: true,
      value: (one) => one.wait_seconds,
      show: (one) => took(one.wait_seconds),
    },
    ...(seesAll ? [users] : []),
    {
      key: "last",
      title: "Last used",
      wide: true,
      value: (one) => one.last_ms,
      show: (one) => ago(one.last_ms),
    },
  ];
}

function failed(one: WorkflowLine) {
  return (
    <Chip tone="bad" title={count(one.failed, "failed job")}>
      {one.failed}, {percent(one.failed, one.jobs)}
      <span class="narrow"> failed</span>
    </Chip>
  );
}
