// Errors and warnings about a run, above its numbers.

import { html } from "./vendor/preact.js";
import { AirflowLink } from "./airflow.js";
import { momentText } from "./format.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
import { shortName, taskHref, taskState } from "./steps.js";
import { say } from "./text.js";

/** `problem`, `unreachable`: the result of the last request for the summary. */
export function Alerts({ problem, unreachable }) {
  const { summary, active } = useHere();
  const { wait, verdict } = summary;
  // Both live regions always exist: screen readers announce only additions to existing ones.
  return html`
    <div class="alerts" role="alert">
      ${unreachable && html`<${Banner} kind="warn">${say("server.unreachable")}<//>`}
      ${problem && html`<${Banner} kind="bad">${problemText(problem)}<//>`}
      ${active && !summary.scheduler && html`<${Banner} kind="bad">${say("scheduler.down")}<//>`}
      ${summary.stopped && html`<${Banner} kind="bad"><${Stopped} why=${summary.stopped} /><//>`}
      ${summary.state === "failed" && html`<${Banner} kind="bad"><${RunFailed} /><//>`}
    </div>
    <div class="alerts" role="status">
      ${wait && html`<${Banner} kind="info"><${Waiting} wait=${wait} /><//>`}
      ${active && !summary.tally && html`<${Banner} kind="info">${say("run.not_planned")}<//>`}
      ${verdict === "planned" && html`<${Banner} kind="info">${say("run.dry")}<//>`}
      ${verdict === "empty" &&
      html`<${Banner} kind="info">${say(emptyText(summary))}<//>`}
      ${summary.merge?.pending > 0 &&
      html`<${Banner} kind="warn">${say("run.pending", { n: summary.merge.pending })}<//>`}
      ${summary.warnings.map(
        (text) => html`<${Banner} key=${text} kind="warn"><span class="wrap">${text}</span><//>`,
      )}
    </div>
  `;
}

function emptyText({ merge, tally }) {
  if (merge) return "run.nothing_new";
  return tally?.planned === 0 ? "run.no_items" : "run.empty";
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
  // `consolidate` wrote its files and failed, so the tolerance was exceeded.
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
