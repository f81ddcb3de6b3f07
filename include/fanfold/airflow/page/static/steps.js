// The steps of the pipeline in one line, each with its state and a link to its log.

import { html } from "./vendor/preact.js";
import { AirflowLink, mappedPath, taskPath } from "./airflow.js";
import { useHere } from "./here.js";
import { Sign } from "./signs.js";
import { stateClass, stateSign, stateWord } from "./states.js";
import { say } from "./text.js";

// The state of a mapped task: the first of these that one of its instances has.
const WEIGHTIEST = [
  "failed", "upstream_failed", "running", "restarting", "deferred", "up_for_retry",
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
  const { dag, run, summary } = useHere();
  if (summary.tasks.length === 0) return null;
  return html`
    <nav aria-label=${say("steps.label")}>
      <ol class="steps">
        ${summary.tasks.map((task) => {
          const state = taskState(task);
          return html`
            <li key=${task.task_id}>
              <${AirflowLink} path=${taskHref(dag, run, task)} class="step">
                <span class="dot ${stateClass(state)}"><${Sign} name=${stateSign(state)} /></span>
                <span>${shortName(task.task_id)}</span>
                ${hasInstances(task) && html`<small>${done(task)}</small>`}
                <span class="unseen">${stateWord(state)}</span>
              <//>
            </li>
          `;
        })}
      </ol>
    </nav>
  `;
}
