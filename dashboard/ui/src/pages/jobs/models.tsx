import { bytes, count, took, when } from "../../format";
import { Table } from "../../parts/table";
import type { JobDetail, Move } from "./types";

/** Models that came and went while the job ran. */
export function Models({ detail }: { detail: JobDetail }) {
  const { moves } = detail;
  if (moves.length === 0) return null;
  const loads = moves.filter((move) => move.what === "load").length;
  return (
    <details>
      <summary>
        {count(loads, "model")} loaded, {moves.length - loads} unloaded
      </summary>
      <Table<Move>
        caption="Models that came and went"
        rows={moves}
        id={(move) => `${move.at_ms} ${move.what} ${move.model} ${move.node}`}
        empty={null}
        columns={[
          { key: "at", title: "When", value: (move) => move.at_ms, show: (move) => when(move.at_ms) },
          { key: "what", title: "What", value: (move) => move.what },
          { key: "model", title: "Model", value: (move) => move.model },
          {
            key: "bytes",
            title: "Size",
            number: true,
            value: (move) => move.bytes,
            show: (move) => (
              <>
                {bytes(move.bytes)}
                {move.what === "load" && move.loaded_bytes < move.bytes && (
                  <span class="detail">{bytes(move.bytes - move.loaded_bytes)} stayed in main memory</span>
                )}
              </>
            ),
          },
          {
            key: "seconds",
            title: "Took",
            number: true,
            value: (move) => move.seconds,
            show: (move) => took(move.seconds),
          },
          { key: "node", title: "Node", wide: true, value: (move) => move.node || null },
        ]}
      />
    </details>
  );
}
