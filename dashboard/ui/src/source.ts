// Where a page's answers come from: a server, or a file that has them all inside.
import { watch, type Watch } from "./live";
import type { QueryChange } from "./router";
import type { Session } from "./session";

export interface Problem {
  /** HTTP status; 0: no answer at all. */
  status: number;
  /** What happened and what to do. */
  message: string;
  /** The whole body of a refusal, where it was JSON. */
  body: unknown;
}

export type Answer<T> = { ok: true; data: T } | { ok: false; problem: Problem };

export interface Source {
  get<T>(path: string, query: QueryChange, signal?: AbortSignal): Promise<Answer<T>>;
  /** `revision`: what the change is of, where somebody else's must not be lost (`If-Match`). */
  send<T>(
    method: "POST" | "PUT" | "DELETE",
    path: string,
    body?: unknown,
    revision?: number,
  ): Promise<Answer<T>>;
  /** Address of what a browser fetches itself (downloads, pictures); null: there is none. */
  url(path: string, query?: QueryChange): string | null;
  /** Live figures; null: a recording has none. */
  watch: Watch | null;
  /** Who looks, where that is known without asking. */
  session: Session | null;
  /** Names of the pages that it can fill; null: all. */
  pages: readonly string[] | null;
}

const NO_ANSWER = "The server does not answer. Is it running, and is this machine on its network?";
/** Answers kept with their ETags, so that what has not changed is not sent again. */
const KEPT = 16;

/** The API of the server that this page came from. */
export function httpSource(): Source {
  const kept = new Map<string, { tag: string; data: unknown }>();

  const url = (path: string, query: QueryChange = {}): string => {
    const found = new URL(`api/v1/${path.replace(/^\//, "")}`, document.baseURI);
    found.hash = "";
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined && value !== "") {
        found.searchParams.set(name, String(value));
      }
    }
    return found.href;
  };

  const keep = (address: string, tag: string, data: unknown): void => {
    kept.delete(address);
    kept.set(address, { tag, data });
    const [oldest] = kept.keys();
    if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  };

  /** The door answers as it does a socket; past it, it says that it wanted one (400). */
  const refused = async (): Promise<Problem | null> => {
    const answer = await asked(url("live"), {}, read);
    return !answer.ok && [401, 403, 503].includes(answer.problem.status) ? answer.problem : null;
  };

  return {
    url,
    watch: (show) => watch(show, refused),
    session: null,
    pages: null,
    async get<T>(path: string, query: QueryChange, signal?: AbortSignal): Promise<Answer<T>> {
      const address = url(path, query);
      const known = kept.get(address);
      const headers: HeadersInit = known ? { "If-None-Match": known.tag } : {};
      return asked<T>(address, { headers, ...(signal ? { signal } : {}) }, async (response) => {
        if (response.status === 304 && known) return { ok: true, data: known.data as T };
        const answer = await read<T>(response);
        const tag = response.headers.get("ETag");
        if (answer.ok && tag) keep(address, tag, answer.data);
        return answer;
      });
    },
    send<T>(method: string, path: string, body?: unknown, revision?: number): Promise<Answer<T>> {
      const said = body === undefined ? {} : { body: JSON.stringify(body) };
      const headers: Record<string, string> = {};
      if (body !== undefined) headers["Content-Type"] = "application/json";
      if (revision !== undefined) headers["If-Match"] = `"${revision}"`;
      return asked<T>(url(path), { method, headers, ...said }, read<T>);
    },
  };
}

async function asked<T>(
  address: string,
  init: RequestInit,
  then: (response: Response) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  try {
    return await then(await fetch(address, { cache: "no-store", ...init }));
  } catch (error) {
    if (init.signal?.aborted) throw error;
    return { ok: false, problem: { status: 0, message: NO_ANSWER, body: null } };
  }
}

async function read<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text();
  const body = parsed(text);
  if (response.ok) return { ok: true, data: body as T };
  const error = (body as { error?: unknown } | null)?.error;
  const message = typeof error === "string" ? error : said(response, text);
  return { ok: false, problem: { status: response.status, message, body } };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's page, or no body: the status says it
  }
}

function said(response: Response, text: string): string {
  if (response.status === 401) return "You are no longer logged in. Reload this page to log in again.";
  if (response.status === 404) return "The server does not have this. Is it older than this page? Reload.";
  const plain = text.length < 300 && !text.includes("<") ? ` ${text}` : "";
  return `The server answered ${response.status} ${response.statusText}.${plain}`;
}
