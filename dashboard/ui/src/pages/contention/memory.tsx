import { gib, percent, shortId, when } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import type { Gpu } from "../../live_tables";
import { Bar } from "../../parts/bar";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { type Column, Table } from "../../parts/table";
import { href } from "../../router";
import type { Session } from "../../session";
import type { Contention, LeastFree, NearMiss } from "./shapes";

const QUARTER_MS = 900_000;

/** How near to the edge memory came. */
export function Memory({ told, session }: { told: Contention; session: Session }) {
  const { gpus } = useLive();
  return (
    <div class="stack">
      <section class="panel">
        <h2>Least free memory of each GPU</h2>
        <Table
          caption="Least free memory of each GPU"
          columns={leastOf(gpus)}
          rows={told.least_free}
          id={(one) => one.gpu}
          empty={<Empty title="No GPU has reported in this time">Choose another time.</Empty>}
        />
      </section>
      <section class="panel">
        <h2>Near misses</h2>
        <p class="muted what-it-is">
          {session.seesAll ? "Jobs" : "Your jobs"} that ran out of memory, or used at least 95 % of what
          they were promised. After an out of memory a job is tried once more with more.
        </p>
        <Table
          caption="Near misses"
          columns={misses(session, gpus)}
          rows={told.near_misses}
          id={(one) => one.job}
          tone={(one) => (one.ooms ? "bad" : "")}
          empty={<p class="empty">None: all jobs kept well within what they were promised.</p>}
        />
      </section>
    </div>
  );
}

function leastOf(gpus: readonly Gpu[]): readonly Column<LeastFree>[] {
  return [
    {
      key: "gpu",
      title: "GPU",
      value: (one) => gpuName(gpus, one.gpu),
      show: (one) => <a href={href("gpus", [one.gpu], around(one.at_ms))}>{gpuName(gpus, one.gpu)}</a>,
    },
    {
      key: "free",
      title: "Least free",
      value: (one) => one.free_bytes,
      show: (one) => `${gib(one.free_bytes)} of ${gib(one.total_bytes)}`,
      number: true,
    },
    {
      key: "bar",
      title: "Then",
      value: (one) => one.free_bytes,
      show: (one) => {
        const held = one.total_bytes - one.free_bytes - one.foreign_bytes;
        return (
          <Bar
            total={one.total_bytes}
            label={`held ${gib(held)}, other programs ${gib(one.foreign_bytes)}, free ${gib(one.free_bytes)}`}
            parts={[
              { label: "held", value: held, tone: "reserved" },
              { label: "other programs", value: one.foreign_bytes, tone: "foreign" },
            ]}
          />
        );
      },
      sortable: false,
      wide: true,
    },
    {
      key: "foreign",
      title: "Other programs",
      hint: "Held by processes that are not our workers",
      value: (one) => one.foreign_bytes,
      show: (one) => gib(one.foreign_bytes),
      number: true,
      wide: true,
    },
    { key: "at", title: "When", value: (one) => one.at_ms, show: (one) => when(one.at_ms), wide: true },
  ];
}

function misses(session: Session, gpus: readonly Gpu[]): readonly Column<NearMiss>[] {
  return [
    {
      key: "job",
      title: "Job",
      value: (one) => one.job,
      show: (one) => (
        <a class="mono" href={href("jobs", [one.job])}>
          {shortId(one.job)}
        </a>
      ),
      sortable: false,
    },
    ...(session.seesAll
      ? [{ key: "user", title: "User", value: (one: NearMiss) => one.user } satisfies Column<NearMiss>]
      : []),
    {
      key: "workflow",
      title: "Workflow",
      value: (one) => one.title,
      show: (one) => <a href={href("workflows", [one.fingerprint])}>{one.title || shortId(one.fingerprint)}</a>,
      wide: true,
    },
    {
      key: "used",
      title: "Used of promise",
      value: (one) => (one.ooms ? 2 : one.peak_bytes / one.reserved_bytes),
      show: (one) =>
        one.ooms ? (
          <Chip tone="bad">out of memory{one.ooms > 1 && ` ×${one.ooms}`}</Chip>
        ) : (
          `${percent(one.peak_bytes, one.reserved_bytes)} of ${gib(one.reserved_bytes)}`
        ),
      number: true,
    },
    { key: "gpu", title: "GPU", value: (one) => gpuName(gpus, one.gpu), wide: true },
    {
      key: "at",
      title: "Ended",
      value: (one) => one.ended_ms,
      show: (one) => when(one.ended_ms),
      wide: true,
    },
  ];
}

function around(ms: number): { from: number; until: number } {
  return { from: ms - QUARTER_MS, until: ms + QUARTER_MS };
}
