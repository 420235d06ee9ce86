import { count } from "../../format";
import { Empty } from "../../parts/empty";
import type { JobDetail, Output } from "./types";

/** Pictures shown at once: each is asked for from a worker's host. */
const SHOWN = 12;

/** What the job made; its owner sees it. */
export function Outputs({ detail }: { detail: JobDetail }) {
  return (
    <section class="panel" aria-labelledby="outputs">
      <h2 id="outputs">Outputs</h2>
      {detail.outputs.length === 0 ? (
        <Empty title="No files">Files are listed for the job's owner, once it has ended.</Empty>
      ) : (
        <Files files={detail.outputs} />
      )}
    </section>
  );
}

export function Files({ files }: { files: readonly Output[] }) {
  const more = files.length - SHOWN;
  return (
    <>
      <ul class="files">
        {files.slice(0, SHOWN).map((file) => (
          <li key={`${file.type}/${file.subfolder}/${file.filename}`}>
            <a href={address(file)} target="_blank" rel="noreferrer">
              {file.kind === "image" && (
                <img src={`${address(file)}&preview=webp;80`} alt="" loading="lazy" decoding="async" />
              )}
              <span class="small">{file.filename}</span>
            </a>
          </li>
        ))}
      </ul>
      {more > 0 && <p class="muted small">and {count(more, "file")} more</p>}
    </>
  );
}

/** ComfyUI's own route, beside the dashboard: it gives each user their own files alone. */
function address({ filename, subfolder, type }: Output): string {
  const query = new URLSearchParams({ filename, subfolder, type });
  const base = document.baseURI.split("#")[0] ?? document.baseURI;
  return `${new URL("../view", base).href}?${query.toString()}`;
}
