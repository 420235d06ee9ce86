// The entry of a report: a page with a recording inside, without a server or a network.
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./parts/parts.css";
import "./parts/fills.css";
import "./recording/recording.css";
import { ThemeSwitch } from "./shell/theme_switch";
import { listen } from "./keys";
import { Problem } from "./parts/problem";
import { read, type Read } from "./recording/read";
import { Report } from "./recording/report_view";
import { followTheme } from "./theme";

async function inside(): Promise<Read> {
  const packed = document.getElementById("recording")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed.trim()), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return read(await new Response(stream).text());
}

function Page({ found }: { found: Read }) {
  return (
    <main class="report">
      {found.ok ? <Report perf={found.perf} theme={<ThemeSwitch />} /> : <Problem message={`This report cannot be shown. ${found.problem}`} />}
    </main>
  );
}

async function start(): Promise<void> {
  followTheme();
  listen();
  const root = document.getElementById("app");
  if (!root) return;
  let found: Read;
  try {
    found = await inside();
  } catch {
    found = { ok: false, problem: "The recording in it is damaged, or this browser is too old (2023 or newer)." };
  }
  render(<Page found={found} />, root);
}

void start();
