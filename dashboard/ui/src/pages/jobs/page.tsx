import "./jobs.css";
import "./lanes.css";
import type { PageProps } from "../../pages";
import { Compare } from "./compare";
import { Job } from "./job";
import { List } from "./list";

/** `#/jobs`: the list; `#/jobs/ID`: one of them; `#/jobs/ID?with=OTHER`: two side by side. */
export default function JobsPage({ route, session }: PageProps) {
  const [id] = route.args;
  if (!id) return <List session={session} />;
  const other = route.query.with;
  return other ? <Compare id={id} other={other} /> : <Job id={id} query={route.query} />;
}
