// A link from an item to the log of its batch.

import { html } from "./vendor/preact.js";
import { AirflowLink, logPath } from "./airflow.js";
import { useHere } from "./here.js";
import { shortName } from "./steps.js";
import { say } from "./text.js";

/** The mapped task, by the last part of its id. */
const mapped = (tasks, name) =>
  tasks.find((task) => task.mapped && shortName(task.task_id) === name)?.task_id;

/** Invalid items link to the log of `process`, all others to the log of `fetch`. */
export function BatchLink({ batch, status }) {
  const { dag, run, summary } = useHere();
  const task = mapped(summary.tasks, status === "invalid" ? "process" : "fetch");
  const text = say("item.batch", { n: batch });
  if (!task) return html`<span>${text}</span>`;
  return html`<${AirflowLink} path=${logPath(dag, run, task, batch)}>${text}<//>`;
}
