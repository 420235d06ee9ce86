import { useMemo } from "preact/hooks";
import { bytes, gib } from "../../format";
import type { Gpu, Worker } from "../../live_tables";
import { Bar } from "../../parts/bar";
import { Chip, type Tone } from "../../parts/chip";
import { type Column, Table } from "../../parts/table";

const LIMITS: Record<string, [Tone, string]> = {
  enforced: ["good", "Its process is capped: a wrong estimate slows its own job only"],
  told: ["info", "ComfyUI is told that this is all there is, and offloads by itself; nodes outside torch may take more"],
  observed: ["warn", "Nothing keeps it within its reservation: it takes what the card has"],
};

/** What each worker holds of a GPU, what it was promised, and what keeps it within that. */
export function Workers({ workers, gpu }: { workers: Worker[]; gpu: Gpu }) {
  const models = workers.some((one) => one.models.length > 0);
  const columns = useMemo(() => columnsOf(gpu.total_bytes, models), [gpu.total_bytes, models]);
  return (
    <Table
      caption={`Workers on ${gpu.agent} GPU ${gpu.index}`}
      columns={columns}
      rows={workers}
      id={(one) => one.id}
      empty={<p class="muted small">No worker here.</p>}
    />
  );
}

function columnsOf(total: number, models: boolean): Column<Worker>[] {
  const columns: Column<Worker>[] = [
    {
      key: "id",
      title: "Worker",
      value: (one) => one.id,
      show: (one) => (
        <>
          {one.id}
          <span class="detail">{doing(one)}</span>
        </>
      ),
    },
    {
      key: "used",
      title: "Memory",
      hint: "Used now, of what is promised to its job",
      value: (one) => one.hold_bytes,
      show: (one) => <Memory worker={one} total={total} />,
    },
    {
      key: "limit",
      title: "Kept within by",
      value: (one) => one.limit,
      show: (one) => {
        const [tone, meaning] = LIMITS[one.limit] ?? ["plain", ""];
        return (
          <Chip tone={tone} title={meaning}>
            {one.limit}
          </Chip>
        );
      },
    },
    {
      key: "models",
      title: "Models loaded",
      wide: true,
      sortable: false,
      value: (one) => one.models.join(", "),
      show: (one) => <span class="small">{one.models.join(", ") || "–"}</span>,
    },
  ];
  return models ? columns : columns.slice(0, 3);
}

function Memory({ worker, total }: { worker: Worker; total: number }) {
  const promised = worker.busy ? worker.reserved_bytes : 0;
  const within = Math.min(worker.used_bytes, promised || worker.used_bytes);
  const over = promised ? Math.max(0, worker.used_bytes - promised) : 0;
  const words = promised
    ? `${bytes(worker.used_bytes)} of ${gib(promised)} promised`
    : `${bytes(worker.used_bytes)} kept`;
  return (
    <>
      <Bar
        label={words}
        total={total}
        parts={[
          { label: "used", value: within, tone: promised ? "reserved" : "resident" },
          { label: "over", value: over, tone: "bad" },
          { label: "promised", value: Math.max(0, promised - worker.used_bytes), tone: "resident" },
        ]}
      />
      <span class="detail">{words}</span>
    </>
  );
}

function doing(worker: Worker): string {
  if (worker.silent) return "silent";
  if (worker.busy) return `runs a job of ${worker.user}`;
  if (worker.state === "READY") return "idle";
  return [worker.state.toLowerCase(), worker.detail].filter(Boolean).join(": ");
}
