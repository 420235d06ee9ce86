import "../jobs/jobs.css";
import "../jobs/lanes.css";
import "./workflows.css";
import type { PageProps } from "../../pages";
import { List } from "./list";
import { Workflow } from "./workflow";

/** `#/workflows`: all kinds; `#/workflows/FINGERPRINT`: one of them. */
export default function WorkflowsPage({ route, session }: PageProps) {
  const [kind] = route.args;
  return kind ? <Workflow kind={kind} session={session} /> : <List session={session} />;
}
