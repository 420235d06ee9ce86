import { ago, bytes, percent, took } from "../../format";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Table } from "../../parts/table";
import { href } from "../../router";
import type { FailingLine, NodeLine, WorkflowDetail } from "./types";

/** Where its jobs break. */
export function Failing({ data }: { data: WorkflowDetail }) {
  return (
    <section class="panel node-classes" aria-labelledby="failing">
      <h2 id="failing">Failing nodes</h2>
      <Table<FailingLine>
        caption="Nodes that failed, the most frequent first"
        rows={data.failing}
        id={(one) => `${one.node} ${one.class_type} ${one.error}`}
        empty={<Empty title="No node failed">Of the newest 500 runs in this time.</Empty>}
        columns={[
          {
            key: "node",
            title: "Node",
            value: (one) => one.class_type,
            show: (one) => (
              <>
                {one.class_type}
                <span class="detail">node {one.node}</span>
              </>
            ),
          },
          { key: "error", title: "Error", value: (one) => one.error || null },
          { key: "failures", title: "Times", number: true, value: (one) => one.failures },
          {
            key: "last",
            title: "Last",
            value: (one) => one.last_ms,
            show: (one) => <a href={href("jobs", [one.job], { node: one.node })}>{ago(one.last_ms)}</a>,
          },
        ]}
      />
    </section>
  );
}

/** What each class of nodes takes. */
export function Nodes({ data, own }: { data: WorkflowDetail; own: boolean }) {
  const all = data.nodes.reduce((sum, one) => sum + one.seconds * one.runs, 0);
  return (
    <section class="panel node-classes" aria-labelledby="nodes">
      <h2 id="nodes">Nodes</h2>
      <Table<NodeLine>
        caption="Classes of nodes, those with most time first"
        rows={data.nodes}
        id={(one) => one.class_type}
        empty={
          <Empty title="No probe told of its nodes">
            {own ? "Nodes come from workers with a probe." : "Nodes are added up each hour, from workers with a probe."}
          </Empty>
        }
        columns={[
          {
            key: "class",
            title: "Class",
            value: (one) => one.class_type,
            show: (one) => (
              <>
                {one.class_type}
                {one.fallbacks > 0 && (
                  <Chip tone="bad" title="Ran in tiles or on the CPU for want of memory">
                    {one.fallbacks} fell back
                  </Chip>
                )}
                {one.failures > 0 && <Chip tone="bad">{one.failures} failed</Chip>}
              </>
            ),
          },
          {
            key: "seconds",
            title: "Mean",
            number: true,
            value: (one) => one.seconds,
            show: (one) => took(one.seconds),
          },
          {
            key: "longest",
            title: "Longest",
            number: true,
            value: (one) => one.longest,
            show: (one) => took(one.longest),
          },
          {
            key: "share",
            title: "Of the time",
            number: true,
            value: (one) => one.seconds * one.runs,
            show: (one) => percent(one.seconds * one.runs, all),
          },
          {
            key: "runs",
            title: "Runs",
            hint: "and how many were cached",
            number: true,
            wide: true,
            value: (one) => one.runs,
            show: (one) => (
              <>
                {one.runs.toLocaleString("en")}
                {one.cached > 0 && <span class="detail">+ {one.cached.toLocaleString("en")} cached</span>}
              </>
            ),
          },
          {
            key: "peak",
            title: "Peak memory",
            number: true,
            wide: true,
            value: (one) => one.peak_bytes || null,
            show: (one) => (one.peak_bytes ? bytes(one.peak_bytes) : "–"),
          },
        ]}
      />
    </section>
  );
}
