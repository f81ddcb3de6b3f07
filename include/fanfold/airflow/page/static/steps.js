// The steps of the pipeline with links to their logs, folded where Airflow shows them or the run is over.

import { html } from "./vendor/preact.js";
import { AirflowLink, mappedPath, parentDocument, taskPath } from "./airflow.js";
import { useHere } from "./here.js";
import { Sign } from "./signs.js";
import { stateClass, stateSign, stateWord } from "./states.js";
import { say } from "./text.js";

// The state of a mapped task: the first of these that one of its instances has.
const WEIGHTIEST = [
  "failed", "upstream_failed", "running", "restarting", "awaiting_input", "deferred", "up_for_retry",
  "up_for_reschedule", "queued", "scheduled", "none", "success", "skipped", "removed",
];

const hasInstances = (task) => task.mapped && Object.keys(task.states).length > 0;

/** The state of a task; for a mapped task, the combined state of its instances. */
export function taskState(task) {
  if (!hasInstances(task)) return task.state;
  return WEIGHTIEST.find((state) => task.states[state] > 0) ?? task.state;
}

/** Airflow's page of the task: its log, or the list of its instances. */
export function taskHref(dag, run, task) {
  return task.mapped ? mappedPath(dag, run, task.task_id) : taskPath(dag, run, task.task_id);
}

/** The task id without its group. */
export const shortName = (taskId) => taskId.slice(taskId.lastIndexOf(".") + 1);

function done(task) {
  const all = Object.values(task.states).reduce((sum, n) => sum + n, 0);
  const finished = (task.states.success ?? 0) + (task.states.skipped ?? 0);
  return say("steps.done", { finished, all });
}

export function Steps() {
  const { dag, run, summary, active } = useHere();
  if (summary.tasks.length === 0) return null;
  const states = new Map();
  for (const task of summary.tasks) {
    const state = taskState(task) ?? "none";
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  return html`
    <details class="folded" open=${active && !parentDocument()}>
      <summary>
        ${say("steps.label")}
        ${[...states].map(
          ([state, n]) => html`
            <span key=${state} class="count"><${Dot} state=${state} />${n}</span>
          `,
        )}
      </summary>
      <ol class="steps">
        ${summary.tasks.map(
          (task) => html`
            <li key=${task.task_id}>
              <${AirflowLink} path=${taskHref(dag, run, task)} class="step">
                <${Dot} state=${taskState(task)} />
                <span>${shortName(task.task_id)}</span>
                ${hasInstances(task) && html`<small>${done(task)}</small>`}
              <//>
            </li>
          `,
        )}
      </ol>
    </details>
  `;
}

/** A state as an icon, with its word for screen readers and as a tooltip. */
function Dot({ state }) {
  return html`
    <span class="dot ${stateClass(state)}" title=${stateWord(state)}>
      <${Sign} name=${stateSign(state)} /><span class="unseen">${stateWord(state)}</span>
    </span>
  `;
}
