// What stands in a run's way, and what to know about it before reading its numbers.

import { html } from "./vendor/preact.js";
import { AirflowLink } from "./airflow.js";
import { momentText } from "./format.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
import { shortName, taskHref, taskState } from "./steps.js";
import { say } from "./text.js";

/** `problem`, `away`: how the last request for the summary went. */
export function Alerts({ problem, away }) {
  const { summary, active } = useHere();
  const { wait, verdict } = summary;
  // Both regions are always there: screen readers speak only of what is added to one they know.
  return html`
    <div class="alerts" role="alert">
      ${away && html`<${Banner} kind="warn">${say("server.away")}<//>`}
      ${problem && html`<${Banner} kind="bad">${problemText(problem)}<//>`}
      ${active && !summary.scheduler && html`<${Banner} kind="bad">${say("scheduler.away")}<//>`}
      ${summary.stopped && html`<${Banner} kind="bad"><${Stopped} why=${summary.stopped} /><//>`}
      ${summary.state === "failed" && html`<${Banner} kind="bad"><${RunFailed} /><//>`}
    </div>
    <div class="alerts" role="status">
      ${wait && html`<${Banner} kind="info"><${Waiting} wait=${wait} /><//>`}
      ${active && !summary.tally && html`<${Banner} kind="info">${say("run.not_planned")}<//>`}
      ${verdict === "planned" && html`<${Banner} kind="info">${say("run.dry")}<//>`}
      ${verdict === "empty" && html`<${Banner} kind="info">${say("run.empty")}<//>`}
    </div>
  `;
}

function Stopped({ why }) {
  return html`${say("run.stopped")} <span class="wrap" dir="auto">${why}</span>`;
}

function Waiting({ wait }) {
  const values = { n: wait.batches, time: momentText(wait.until) };
  return html`${say("run.waits", values)} <span class="wrap quiet" dir="auto">${wait.reason}</span>`;
}

function RunFailed() {
  const { dag, run, summary } = useHere();
  const failed = summary.tasks.filter((task) => taskState(task) === "failed");
  // What `consolidate` wrote is whole; that it failed all the same was its gate.
  const gate = summary.final && failed.some((task) => task.task_id === "consolidate");
  return html`
    ${say(gate ? "run.gate_failed" : "run.failed")}
    <ul class="inline">
      ${failed.map(
        (task) => html`
          <li key=${task.task_id}>
            <${AirflowLink} path=${taskHref(dag, run, task)}>
              ${say("run.failed_task", { task: shortName(task.task_id) })}
            <//>
          </li>
        `,
      )}
    </ul>
  `;
}
