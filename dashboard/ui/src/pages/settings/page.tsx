import "./settings.css";
import { useApi, useSource } from "../../api";
import type { PageProps } from "../../pages";
import { Chip } from "../../parts/chip";
import { Dialog } from "../../parts/dialog";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { Tabs } from "../../parts/tabs";
import { setQuery } from "../../router";
import { ChangeList } from "./changes";
import { Forget } from "./forget";
import { LimitForm } from "./limit_form";
import { MaintenancePanel } from "./maintenance";
import { fieldOf, type LimitValue, type Limits, type LimitsOf } from "./shapes";
import { shown, titled } from "./values";

/** Columns of users and groups; the dialog has the rest. */
const COLUMNS = ["weight", "max_running", "max_queued", "vram_share", "budget"];

export default function SettingsPage({ route }: PageProps) {
  const source = useSource();
  const limits = useApi<Limits>("limits", {}, 15);
  const told = limits.data;
  const opened = told && openedOf(told, route.query.open);
  const close = (): void => setQuery({ open: null });
  return (
    <div class="page">
      <div class="page-head">
        <h1>Settings</h1>
        {told && <span class="muted">revision {told.revision}, the same for all gateways and schedulers</span>}
        <a class="push" href={source.url("limits/export") ?? "#"} download>
          Export changes
        </a>
      </div>
      {limits.problem && <Problem message={limits.problem.message} retry={limits.reload} />}
      <MaintenancePanel />
      {told && (
        <Tabs
          label="Settings"
          tabs={[
            { name: "users", title: "Users", show: () => <Many kind="users" told={told} /> },
            { name: "groups", title: "Groups", show: () => <Many kind="groups" told={told} /> },
            { name: "pool", title: "Pool", show: () => <Pool told={told} /> },
            { name: "changes", title: "Changes", show: () => <ChangeList fields={told.fields} /> },
          ]}
        />
      )}
      <Dialog open={!!opened} title={opened?.title ?? ""} onClose={close}>
        {told &&
          opened?.limits.map((limit) => (
            <LimitForm
              key={limit.path}
              limit={limit}
              field={fieldOf(limit, told.fields)}
              revision={told.revision}
              onChanged={limits.reload}
            />
          ))}
        {opened?.user && <Forget key={opened.user} user={opened.user} onDone={limits.reload} />}
      </Dialog>
    </div>
  );
}

interface Opened {
  title: string;
  limits: LimitValue[];
  user: string | null;
}

function openedOf(told: Limits, name: string | undefined): Opened | null {
  const [kind, ...rest] = (name ?? "").split(":");
  const wanted = rest.join(":");
  if (kind === "users" || kind === "groups") {
    const found = told[kind].find((one) => one.name === wanted);
    const title = `${kind === "users" ? "User" : "Group"} ${wanted}`;
    return found ? { title, limits: found.limits, user: kind === "users" ? wanted : null } : null;
  }
  const limit = kind === "pool" ? told.pool.limits.find((one) => one.path === wanted) : undefined;
  return limit ? { title: limit.path, limits: [limit], user: null } : null;
}

function Many({ kind, told }: { kind: "users" | "groups"; told: Limits }) {
  const columns: Column<LimitsOf>[] = [
    {
      key: "name",
      title: kind === "users" ? "User" : "Group",
      value: (one) => one.name,
      show: (one) => <a href={opens(kind, one.name)}>{one.name}</a>,
    },
    ...(kind === "users" ? [{ key: "group", title: "Group", value: (one: LimitsOf) => one.group, wide: true }] : []),
    ...COLUMNS.map((field) => columnOf(field, told)),
    {
      key: "edited",
      title: "Changed here",
      value: (one) => edited(one).length,
      show: (one) => (edited(one).length > 0 ? <Chip tone="info">{edited(one).length} changed</Chip> : "–"),
    },
  ];
  return (
    <section class="panel">
      <Table
        caption={`Limits of ${kind}`}
        columns={columns}
        rows={told[kind]}
        id={(one) => one.name}
        open={(one) => setQuery({ open: `${kind}:${one.name}` }, { push: true })}
        empty={
          kind === "users" ? (
            <Empty title="There are no users yet">
              Add one with <code>vramgate users add NAME</code>, or in the config file.
            </Empty>
          ) : (
            <Empty title="There are no groups yet">
              A group is there as soon as a user is in it: name it in the config file.
            </Empty>
          )
        }
      />
    </section>
  );
}

function columnOf(field: string, told: Limits): Column<LimitsOf> {
  const words = told.fields[field]?.words ?? "text";
  const value = (one: LimitsOf): unknown => one.limits.find((limit) => limit.field === field)?.value;
  return {
    key: field,
    title: titled(field),
    hint: told.fields[field]?.help ?? "",
    number: true,
    wide: field !== "weight" && field !== "budget",
    value: (one) => (typeof value(one) === "number" ? (value(one) as number) : null),
    show: (one) => shown(value(one), words),
  };
}

function Pool({ told }: { told: Limits }) {
  const words = (one: LimitValue): string => told.fields[one.path]?.words ?? "text";
  const columns: Column<LimitValue>[] = [
    {
      key: "path",
      title: "Setting",
      value: (one) => one.path,
      show: (one) => <a href={opens("pool", one.path)}>{one.path}</a>,
    },
    { key: "value", title: "In force", value: (one) => shown(one.value, words(one)) },
    { key: "base", title: "File or default", value: (one) => shown(one.base, words(one)), wide: true },
    {
      key: "origin",
      title: "From",
      value: (one) => one.origin,
      show: (one) => (one.origin === "edited" ? <Chip tone="info">changed here</Chip> : one.origin),
    },
  ];
  return (
    <section class="panel">
      <Table
        caption="Settings of the pool"
        columns={columns}
        rows={told.pool.limits}
        id={(one) => one.path}
        open={(one) => setQuery({ open: `pool:${one.path}` }, { push: true })}
        empty={null}
      />
    </section>
  );
}

function edited(one: LimitsOf): LimitValue[] {
  return one.limits.filter((limit) => limit.origin === "edited");
}

function opens(kind: string, name: string): string {
  const tab = kind === "users" ? "" : `tab=${kind}&`;
  return `#/settings?${tab}open=${encodeURIComponent(`${kind}:${name}`)}`;
}
