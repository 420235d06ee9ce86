import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { inOrder } from "../order";

export interface Column<Row> {
  key: string;
  title: string;
  /** What it sorts by, and what is shown without `show`; null sorts last. */
  value: (row: Row) => string | number | null;
  show?: (row: Row) => ComponentChildren;
  /** Right-aligned figures. */
  number?: boolean;
  /** False: cannot be sorted by. */
  sortable?: boolean;
  /** Not shown on narrow screens. */
  wide?: boolean;
  /** Unit or meaning, at the title. */
  hint?: string;
}

export interface Sort {
  key: string;
  down: boolean;
}

interface Props<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  id: (row: Row) => string;
  /** What to show without rows. */
  empty: ComponentChildren;
  /** At first; without it rows stay in their order. */
  sort?: Sort;
  /** Rows come sorted as `sort` says, and this is told what else is wanted. */
  onSort?: (sort: Sort) => void;
  /** A click on a row, or Enter. Put a link into the first column, too: it says where it leads. */
  open?: (row: Row) => void;
  /** A class of a row, as `bad`. */
  tone?: (row: Row) => string;
  /** Whether the caption can be seen. */
  captioned?: boolean;
}

/** Rows drawn at once; a button shows as many more. */
const STEP = 200;

/** Rows that can be sorted, and walked through with the arrow keys. */
export function Table<Row>(props: Props<Row>) {
  const { columns, rows, id, open } = props;
  const [chosen, setChosen] = useState<Sort | null>(props.sort ?? null);
  const given = props.onSort !== undefined;
  const sort = given ? (props.sort ?? null) : chosen;
  const [most, setMost] = useState(STEP);
  const [current, setCurrent] = useState("");
  const body = useRef<HTMLTableSectionElement>(null);
  const sorted = useMemo(() => (given ? rows : sortedBy(rows, columns, sort)), [rows, columns, sort, given]);
  const head = useMemo(
    () => (
      <tr>
        {columns.map((column) => (
          <Head key={column.key} column={column} sort={sort} onSort={props.onSort ?? setChosen} />
        ))}
      </tr>
    ),
    [columns, sort, props.onSort],
  );
  if (rows.length === 0) return <>{props.empty}</>;
  const seen = sorted.slice(0, most);
  const stop = seen.some((row) => id(row) === current) ? current : id(seen[0] as Row);

  const moved = (event: KeyboardEvent, row: Row): void => {
    if (event.target !== event.currentTarget) return;
    if (event.key === "Enter" && open) return open(row);
    const at = seen.indexOf(row);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: seen.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    body.current?.querySelectorAll<HTMLElement>(":scope > tr")[to]?.focus();
  };

  return (
    <div class="table-room">
      <table class={open ? "table opens" : "table"} aria-rowcount={rows.length + 1}>
        <caption class={props.captioned ? "" : "hidden"}>{props.caption}</caption>
        <thead>{head}</thead>
        <tbody ref={body}>
          {seen.map((row) => (
            <tr
              key={id(row)}
              class={props.tone?.(row)}
              tabIndex={id(row) === stop ? 0 : -1}
              onFocus={() => setCurrent(id(row))}
              onKeyDown={(event) => moved(event, row)}
              onClick={(event) => open && !onControl(event) && open(row)}
            >
              {columns.map((column) => (
                <td key={column.key} class={classes(column)}>
                  {column.show ? column.show(row) : (column.value(row) ?? "–")}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > most && (
        <button type="button" class="quiet" onClick={() => setMost(most + STEP)}>
          Show {Math.min(STEP, sorted.length - most).toLocaleString("en")} more of{" "}
          {sorted.length.toLocaleString("en")}
        </button>
      )}
    </div>
  );
}

interface HeadProps<Row> {
  column: Column<Row>;
  sort: Sort | null;
  onSort: (sort: Sort) => void;
}

function Head<Row>({ column, sort, onSort }: HeadProps<Row>) {
  const on = sort?.key === column.key;
  const order = on ? (sort.down ? "descending" : "ascending") : "none";
  // Figures are looked at from the largest, names from the first.
  const next = { key: column.key, down: on ? !sort.down : !!column.number };
  return (
    <th
      scope="col"
      class={classes(column)}
      title={column.hint}
      aria-sort={column.sortable === false ? undefined : order}
    >
      {column.sortable === false ? (
        column.title
      ) : (
        <button type="button" class="sorts" onClick={() => onSort(next)}>
          {column.title}
          <span aria-hidden="true">{on ? (sort.down ? " ↓" : " ↑") : ""}</span>
        </button>
      )}
    </th>
  );
}

function classes<Row>(column: Column<Row>): string {
  return `${column.number ? "number" : ""} ${column.wide ? "wide" : ""}`.trim();
}

function onControl(event: Event): boolean {
  return event.target instanceof Element && !!event.target.closest("a, button, input, select, label");
}

function sortedBy<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  sort: Sort | null,
): readonly Row[] {
  const column = columns.find((one) => one.key === sort?.key);
  if (!sort || !column) return rows;
  const sign = sort.down ? -1 : 1;
  return rows
    .map((row) => ({ row, value: column.value(row) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null);
      if (typeof a.value === "number" && typeof b.value === "number") return sign * (a.value - b.value);
      return sign * inOrder(String(a.value), String(b.value));
    })
    .map(({ row }) => row);
}
