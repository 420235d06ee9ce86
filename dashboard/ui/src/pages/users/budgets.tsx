import { useApi } from "../../api";
import { gpuTime, percent } from "../../format";
import { Bar } from "../../parts/bar";
import { Chip, type Tone } from "../../parts/chip";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import type { Session } from "../../session";
import type { Budget, Budgets } from "./shapes";

const STATES: Record<Budget["state"], [Tone, string, string]> = {
  ok: ["good", "within", "Starts as anybody's"],
  soft: ["warn", "others go first", "Past the soft budget: a GPU that nobody else can use still works"],
  spent: ["bad", "used up", "Nothing more starts until the month ends or the number is raised"],
};

/** How far this month's budgets are. */
export function BudgetList({ session }: { session: Session }) {
  const budgets = useApi<Budgets>("users/budgets", {}, 60);
  if (budgets.problem) return <Problem message={budgets.problem.message} retry={budgets.reload} />;
  const told = budgets.data;
  if (!told || (told.budgets.length === 0 && !session.seesAll)) return null;
  return (
    <section class="panel">
      <h2>Budgets of {told.month}</h2>
      <Table
        caption={`Budgets of ${told.month}`}
        columns={COLUMNS}
        rows={told.budgets}
        id={(one) => `${one.of}:${one.name}`}
        tone={(one) => (one.state === "spent" ? "bad" : "")}
        empty={
          <p class="empty">
            Nobody has one. <code>budget</code> and <code>budget_soft</code> of a user or group in the
            configuration limit the GPU hours of a calendar month.
          </p>
        }
      />
    </section>
  );
}

const COLUMNS: readonly Column<Budget>[] = [
  {
    key: "name",
    title: "User or group",
    value: (one) => one.name,
    show: (one) => (
      <>
        {one.name} {one.of === "group" && <span class="muted">(group)</span>}
      </>
    ),
  },
  {
    key: "state",
    title: "State",
    value: (one) => one.state,
    show: (one) => {
      const [tone, word, meaning] = STATES[one.state];
      return (
        <Chip tone={tone} title={meaning}>
          {word}
        </Chip>
      );
    },
  },
  {
    key: "used",
    title: "Used",
    value: (one) => one.used_us,
    show: (one) => gpuTime(one.used_us),
    number: true,
  },
  {
    key: "bar",
    title: "Of the limit",
    value: (one) => one.used_us / (limit(one) || 1),
    show: (one) => (
      <Bar
        total={limit(one)}
        label={percent(one.used_us, limit(one))}
        parts={[{ label: "used", value: Math.min(one.used_us, limit(one)), tone: toneOf(one) }]}
      />
    ),
    sortable: false,
    wide: true,
  },
  {
    key: "soft",
    title: "Soft",
    hint: "After this everybody else goes first",
    value: (one) => one.soft_us,
    show: (one) => (one.soft_us === null ? "–" : gpuTime(one.soft_us)),
    number: true,
    wide: true,
  },
  {
    key: "hard",
    title: "Hard",
    hint: "After this nothing more starts",
    value: (one) => one.hard_us,
    show: (one) => (one.hard_us === null ? "–" : gpuTime(one.hard_us)),
    number: true,
    wide: true,
  },
];

function limit(one: Budget): number {
  return one.hard_us ?? one.soft_us ?? 0;
}

function toneOf(one: Budget): string {
  return { ok: "good", soft: "warn", spent: "bad" }[one.state];
}
