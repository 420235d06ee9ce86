import type { Plugin } from "vite";

/** Pages that are made of another one's parts, and so have its styles, too. */
const ALSO: Record<string, readonly string[]> = { jobs: ["workflows"] };

/**
 * Keeps each page's styles to that page: what is in `src/pages/NAME/*.css` holds below `.page-NAME`
 * (`src/shell/opened.tsx`) only, so that two pages may use one name for different things.
 */
export function pageStyles(): Plugin {
  return {
    name: "page-styles",
    enforce: "pre",
    transform(code, id) {
      const name = /\/src\/pages\/([a-z_]+)\/[a-z_]+\.css$/.exec(id)?.[1];
      if (!name) return null;
      const places = [name, ...(ALSO[name] ?? [])].map((one) => `.page-${one}`);
      return { code: `:is(${places.join(", ")}) {\n${code}\n}`, map: null };
    },
  };
}
