// Values as they are written and read: what is shown can be sent back as it stands.
const SIZES: [string, number][] = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
];
const TIMES: [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
];

/** A value in words: `24GiB`, `20m`, `film-*, studio1`; "" for no limit. */
export function written(value: unknown, words: string): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "number" && words.startsWith("size")) return inUnits(value, SIZES, "");
  if (typeof value === "number" && words.startsWith("duration")) return inUnits(value, TIMES, "s");
  return String(value);
}

/** The same for people: what no limit means is said. */
export function shown(value: unknown, words: string): string {
  const text = written(value, words);
  if (text) return text;
  return Array.isArray(value) ? "all" : "no limit";
}

/** What a person wrote, as JSON; the server says what is wrong with it. */
export function read(text: string, words: string): unknown {
  const plain = text.trim();
  if (words.startsWith("list")) return plain ? plain.split(",").map((one) => one.trim()).filter(Boolean) : [];
  if (!plain) return null;
  if (words === "`true`, `false`") return plain === "true";
  return /^[-+]?\d+(\.\d+)?$/.test(plain) ? Number(plain) : plain;
}

const TITLES: Record<string, string> = {
  budget: "budget, GPU h",
  budget_soft: "soft budget, GPU h",
  vram_share: "VRAM share, 0 to 1",
};

/** A setting's name for people, with its unit. */
export function titled(field: string): string {
  return TITLES[field] ?? field.replaceAll("_", " ");
}

/** The words that a setting takes, where it takes only some. */
export function choices(words: string): string[] | null {
  const found = [...words.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
  return found.length > 0 ? found : null;
}

function inUnits(value: number, units: [string, number][], smallest: string): string {
  if (value === 0) return `0${smallest}`;
  const unit = units.find(([, size]) => value % size === 0);
  return unit ? `${value / unit[1]}${unit[0]}` : `${value}${smallest}`;
}
