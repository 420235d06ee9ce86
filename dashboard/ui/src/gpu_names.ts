// GPUs by where they are: their own ids are forty characters that nobody knows by heart.
import { shortId } from "./format";
import type { Gpu } from "./live_tables";

type Known = Pick<Gpu, "id" | "agent" | "index">;

/** `studio-a GPU 0`; of one that is not there now the start of its id, `GPU-d39d8daa`. */
export function gpuName(gpus: readonly Known[], id: string): string {
  const known = gpus.find((one) => one.id === id);
  if (known) return `${known.agent} GPU ${known.index}`;
  const plain = id.replace(/^GPU-/, "");
  return `${plain === id ? "GPU " : "GPU-"}${shortId(plain)}`;
}

/** What an alert is about: `gpu:<id>` by its name, anything else as it is. */
export function subjectName(gpus: readonly Known[], subject: string): string {
  return subject.startsWith("gpu:") ? gpuName(gpus, subject.slice("gpu:".length)) : subject;
}

/** A text of the server's with names in place of `GPU <id>`. */
export function withGpuNames(text: string, gpus: readonly Known[]): string {
  const named = gpus.reduce((said, one) => said.replaceAll(`GPU ${one.id}`, gpuName(gpus, one.id)), text);
  return named.replace(/\bGPU (GPU-[\w-]+)/g, (_, id: string) => gpuName(gpus, id));
}
