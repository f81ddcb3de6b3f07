// Errors and warnings about a run, above its numbers.

import { html } from "./vendor/preact.js";
import { AirflowLink, connectionPath, logPath, questionPath, taskPath } from "./airflow.js";
import { momentText } from "./format.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
import { PublishButton, RedriveButton } from "./redrive.js";
import { shortName } from "./steps.js";
import { say } from "./text.js";

/** `problem`, `unreachable`: the result of the last request for the summary. */
export function Alerts({ problem, unreachable }) {
  const { dag, run, summary, active } = useHere();
  const { wait, verdict } = summary;
  // Both live regions always exist: screen readers announce only additions to existing ones.
  return html`
    <div class="alerts" role="alert">
      ${unreachable && html`<${Banner} kind="warn">${say("server.unreachable")}<//>`}
      ${problem && html`<${Banner} kind="bad">${problemText(problem)}<//>`}
      ${active && !summary.scheduler && html`<${Banner} kind="bad">${say("scheduler.down")}<//>`}
      ${summary.stopped && !summary.failure && html`<${Banner} kind="bad"><${Stopped} why=${summary.stopped} /><//>`}
      ${summary.state === "failed" && html`<${Banner} kind="bad"><${RunFailed} /><//>`}
    </div>
    <div class="alerts" role="status">
      ${wait && html`<${Banner} kind="info"><${Waiting} wait=${wait} /><//>`}
      ${verdict === "approval" &&
      html`
        <${Banner} kind="warn">
          ${say("run.approval")} <${AirflowLink} path=${questionPath(dag, run)}>${say("run.answer")}<//>
        <//>
      `}
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

/** Why the run failed, in the first task that did, and what can be done about it. */
function RunFailed() {
  const { dag, run, summary } = useHere();
  const { failure, can_publish: publishable } = summary;
  if (!failure) return html`${say("run.failed")} <${RedriveButton} small />`;
  const { task_id: task, map_index: index, label, connection, tries } = failure;
  const path = index < 0 ? taskPath(dag, run, task) : logPath(dag, run, task, index);
  const where = { task: shortName(task), label };
  return html`
    <b>${say(label ? "run.failed_in_batch" : "run.failed_in", where)}</b>
    ${tries > 1 && html` <small>${say("batch.tries", { n: tries })}</small>`}
    <p class=${publishable ? "wrap lines" : "wrap"} dir="auto" title=${failure.message}>
      ${failure.message ?? say("run.no_reason")}
    </p>
    <div class="actions">
      <${AirflowLink} path=${path}>${say("run.failed_task", { task: shortName(task) })}<//>
      ${connection &&
      html`
        <${AirflowLink} path=${connectionPath(connection)}>${say("run.connection", { id: connection })}<//>
      `}
      <${RedriveButton} small />
      ${publishable && html`<${PublishButton} />`}
    </div>
  `;
}
