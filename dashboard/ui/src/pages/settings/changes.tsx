import { useState } from "preact/hooks";
import { useApi } from "../../api";
import { when } from "../../format";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import type { Change, Changes, Field } from "./shapes";
import { shown } from "./values";

/** Who changed what when, newest first. */
export function ChangeList({ fields }: { fields: Record<string, Field> }) {
  const [before, setBefore] = useState<string | null>(null);
  const { data, problem, reload } = useApi<Changes>("limits/changes", { before, rows: 100 });
  const words = (change: Change): string =>
    (fields[change.path] ?? fields[change.path.split(".").at(-1) ?? ""])?.words ?? "text";
  const columns: Column<Change>[] = [
    { key: "at", title: "When", value: (one) => one.at_ms, show: (one) => when(one.at_ms) },
    { key: "by", title: "Who", value: (one) => one.by },
    { key: "path", title: "Setting", value: (one) => one.path },
    { key: "before", title: "Before", value: (one) => shown(one.before, words(one)), wide: true },
    {
      key: "after",
      title: "After",
      value: (one) => (one.reset ? "as in the file" : shown(one.after, words(one))),
    },
    { key: "revision", title: "Revision", value: (one) => one.revision, number: true, wide: true },
  ];
  if (problem) return <Problem message={problem.message} retry={reload} />;
  if (!data) return null;
  return (
    <section class="panel">
      <Table
        caption="Changes of settings"
        columns={columns}
        rows={data.changes}
        id={(one) => `${one.at_ms}-${one.path}-${one.revision}`}
        empty={<Empty title="Nobody has changed anything here">The config file is in force as it is.</Empty>}
      />
      <div class="pager">
        {before && (
          <button type="button" class="quiet" onClick={() => setBefore(null)}>
            Newest
          </button>
        )}
        {data.next && (
          <button type="button" class="quiet" onClick={() => setBefore(data.next)}>
            Older
          </button>
        )}
      </div>
    </section>
  );
}
