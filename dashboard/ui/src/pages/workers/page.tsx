import "./workers.css";
import { useState } from "preact/hooks";
import { useApi, useSource } from "../../api";
import { count } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import type { Gpu } from "../../live_tables";
import type { PageProps } from "../../pages";
import { Chip, type Tone } from "../../parts/chip";
import { Dialog } from "../../parts/dialog";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { go, href } from "../../router";
import { WorkerLog } from "./log";
import type { Rolling, Upkeep, WorkerUpkeep } from "./shapes";

/** Take workers and hosts out of service and back, start them anew, read their logs. */
export default function WorkersPage({ route }: PageProps) {
  const source = useSource();
  const upkeep = useApi<Upkeep>("upkeep", {}, 2);
  const [problem, setProblem] = useState("");
  const [sure, setSure] = useState(false);
  const told = upkeep.data;
  const hosts = [...new Set(told?.workers.map((one) => one.agent))];
  const opened = told?.workers.find((one) => one.id === route.args[0]);

  const post = async (path: string): Promise<void> => {
    const answer = await source.send("POST", path);
    setProblem(answer.ok ? "" : answer.problem.message);
    upkeep.reload();
  };
  const act = (name: string, action: string): void =>
    void post(`upkeep/of/${encodeURIComponent(name)}/${action}`);

  const columns = columnsOf(act, useLive().gpus);
  return (
    <div class="page">
      <div class="page-head">
        <h1>Workers</h1>
        <button type="button" class="push" disabled={told?.rolling?.running} onClick={() => setSure(true)}>
          Rolling restart…
        </button>
      </div>
      {upkeep.problem && <Problem message={upkeep.problem.message} retry={upkeep.reload} />}
      {problem && <Problem message={problem} />}
      {told?.rolling && <RollingLine rolling={told.rolling} />}
      {told?.workers.length === 0 && (
        <Empty title="No worker has reported">
          Start an agent on a GPU host with <code>vramgate agent</code>.
        </Empty>
      )}
      {hosts.map((host) => (
        <section class="panel" key={host} aria-label={`Host ${host}`}>
          <div class="card-head">
            <h2>{host}</h2>
            <span class="push">
              <Switch
                drained={!!told?.workers.some((one) => one.agent === host && one.host_drained)}
                name={host}
                act={act}
              />
            </span>
          </div>
          <Table
            caption={`Workers of ${host}`}
            columns={columns}
            rows={told?.workers.filter((one) => one.agent === host) ?? []}
            id={(one) => one.id}
            empty={null}
            open={(one) => go("workers", [one.id])}
          />
        </section>
      ))}
      <WorkerLog worker={opened?.id ?? null} onClose={() => go("workers")} />
      <Dialog
        open={sure}
        title="Restart all workers?"
        onClose={() => setSure(false)}
        actions={
          <button
            type="button"
            onClick={() => {
              setSure(false);
              void post("upkeep/rolling");
            }}
          >
            Restart them
          </button>
        }
      >
        <p>
          Each is started anew when it is idle, and the next one when it answers again. The first that does
          not come back ends it.
        </p>
      </Dialog>
    </div>
  );
}

type Act = (name: string, action: string) => void;

function columnsOf(act: Act, gpus: readonly Gpu[]): Column<WorkerUpkeep>[] {
  return [
    {
      key: "id",
      title: "Worker",
      value: (one) => one.id,
      show: (one) => <a href={href("workers", [one.id])}>{one.id}</a>,
    },
    {
      key: "gpu",
      title: "GPU",
      value: (one) => (one.gpu ? gpuName(gpus, one.gpu) : "none"),
      show: (one) => (one.gpu ? <a href={href("gpus", [one.gpu])}>{gpuName(gpus, one.gpu)}</a> : "none"),
      wide: true,
    },
    { key: "state", title: "State", value: word, show: (one) => <Chip tone={tone(one)}>{word(one)}</Chip> },
    {
      key: "act",
      title: "In service",
      value: () => null,
      sortable: false,
      show: (one) => (
        <span class="acts">
          <Switch drained={one.drained} name={one.id} act={act} disabled={one.host_drained} />
          <button
            type="button"
            class="quiet"
            disabled={one.restart === "asked"}
            aria-label={`Restart ${one.id} when it is idle`}
            onClick={() => act(one.id, "restart")}
          >
            {one.restart === "asked" ? "Restart asked for" : "Restart"}
          </button>
        </span>
      ),
    },
  ];
}

interface SwitchProps {
  drained: boolean;
  name: string;
  act: Act;
  disabled?: boolean;
}

function Switch({ drained, name, act, disabled = false }: SwitchProps) {
  const action = drained ? "undrain" : "drain";
  const words = drained ? "Back in service" : "Drain";
  return (
    <button
      type="button"
      class="quiet"
      disabled={disabled}
      aria-label={`${words}: ${name}`}
      onClick={() => act(name, action)}
    >
      {words}
    </button>
  );
}

function word(one: WorkerUpkeep): string {
  if (one.restart === "refused") return "not started by vramgate: restart it yourself";
  if (one.detail) return one.detail;
  if (one.drained || one.host_drained) return "draining";
  const state = one.state.toLowerCase();
  return one.busy ? "busy" : state;
}

function tone(one: WorkerUpkeep): Tone {
  if (one.state === "DOWN" && one.detail !== "drained") return "bad";
  if (one.detail || one.drained || one.host_drained || one.restart) return "warn";
  return one.busy ? "info" : "good";
}

function RollingLine({ rolling }: { rolling: Rolling }) {
  const all = rolling.done.length + rolling.left.length + (rolling.current ? 1 : 0);
  return (
    <p class={rolling.error ? "wrong" : "muted"} role="status">
      Rolling restart by {rolling.by}: {rolling.done.length} of {count(all, "worker")} restarted
      {rolling.current && `, now ${rolling.current}`}
      {!rolling.running && (rolling.error ? `. It ended: ${rolling.error}` : ". Done.")}
    </p>
  );
}
