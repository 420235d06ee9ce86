import "./api.css";
import { useMemo } from "preact/hooks";
import { useApi, useSource } from "../../api";
import type { PageProps } from "../../pages";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { setQuery } from "../../router";
import { matching, type OpenApi, type Operation, operations } from "./document";
import { OperationView } from "./operation";

/** The gateway's own description lies beside the dashboard. */
const DOCUMENT = "../../../openapi.json";
const TITLES: Record<string, string> = {
  dashboard: "The dashboard's API: what these pages are made of",
  vramgate: "vramgate's own routes",
  metrics: "Metrics",
  health: "Health",
  comfyui: "ComfyUI's API, for many users",
};

/** `#/api?find=jobs&open=GET /dashboard/api/v1/jobs`. */
export default function ApiPage({ route }: PageProps) {
  const { data, problem, reload } = useApi<OpenApi>(DOCUMENT);
  const source = useSource();
  const all = useMemo(() => (data ? operations(data) : []), [data]);
  const { find = "", open = "" } = route.query;
  const found = matching(all, find);
  const address = source.url(DOCUMENT);
  return (
    <div class="page">
      <h1>API</h1>
      <p class="muted">
        Everything here can be asked for by programs, with a key and the rights of its user: as a header{" "}
        <code>Authorization: Bearer …</code> or <code>X-API-Key</code>. Times are milliseconds since 1970, sizes bytes.
        Answers have an <code>ETag</code>: sent back as <code>If-None-Match</code> it saves what has not changed.
        Refusals say what to do in <code>error</code>.{" "}
        {address && (
          <a href={address} download="vramgate-openapi.json">
            The whole description as OpenAPI
          </a>
        )}
      </p>
      {problem && <Problem message={problem.message} retry={reload} />}
      {data && (
        <>
          <div class="filters">
            <label class="api-find">
              <span>Find</span>
              <input
                type="search"
                value={find}
                placeholder="jobs"
                onInput={(event) => setQuery({ find: event.currentTarget.value })}
              />
            </label>
            <p class="muted" aria-live="polite">
              {found.length} of {all.length} operations, version {data.info.version}
            </p>
          </div>
          {found.length === 0 && (
            <Empty title="Nothing is called so">Try one word of what you look for, as jobs, queue or upload.</Empty>
          )}
          {tagged(found).map(([tag, some]) => (
            <section class="panel" key={tag} aria-label={TITLES[tag] ?? tag}>
              <h2>{TITLES[tag] ?? tag}</h2>
              {some.map((one) => (
                <OperationView
                  key={one.id}
                  document={data}
                  operation={one}
                  open={one.id === open}
                  onToggle={(opened) => (opened || one.id === open) && setQuery({ open: opened ? one.id : null })}
                />
              ))}
            </section>
          ))}
        </>
      )}
    </div>
  );
}

/** By tag, the dashboard's first: nobody else has those. */
function tagged(all: readonly Operation[]): [string, Operation[]][] {
  const known = Object.keys(TITLES);
  const tags = [...new Set([...known, ...all.map((one) => one.tag)])];
  return tags.map((tag): [string, Operation[]] => [tag, all.filter((one) => one.tag === tag)]).filter(
    ([, some]) => some.length > 0,
  );
}
