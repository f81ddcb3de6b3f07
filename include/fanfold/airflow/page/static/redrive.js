// Redrive, and publishing a run that failed only because of its tolerance.

import { html } from "./vendor/preact.js";
import { ActionDialog } from "./action.js";
import { duration, Moment, percent } from "./format.js";
import { useHere } from "./here.js";
import { Banner } from "./notices.js";
import { Sign } from "./signs.js";
import { say } from "./text.js";

/** Whether a request selects items or groups. */
const chosen = ({ keys = [], groups = [] }) => keys.length + groups.length > 0;

/**
 * A button for a redrive of a selection; without `request`, of everything that failed.
 *
 * It is hidden without the permission. If a redrive is not possible, the reason is shown, unless `mute`.
 */
export function RedriveButton({ request = {}, children, ...looks }) {
  const { small = false, mute = false, disabled = false } = looks;
  const { summary, act } = useHere();
  const { allowed, why_not: why } = summary.redrive;
  if (!allowed) return null;
  // A selection is fetched again whatever its outcome, even if nothing failed.
  const hindered = why !== null && !(why === "nothing" && chosen(request));
  const reason = hindered ? say(`redrive.not_${why}`) : undefined;
  return html`
    <span class="redrive">
      <button
        type="button"
        class="button ${small ? "" : "primary"}"
        disabled=${hindered || disabled}
        title=${reason}
        onClick=${() => act({ kind: "redrive", request })}
      >
        <${Sign} name="again" />${children ?? say(summary.tally ? "redrive.all" : "redrive.confirm")}
      </button>
      ${reason && !mute && html`<small class="quiet">${reason}</small>`}
    </span>
  `;
}

/** A button that publishes the dataset with the share of failures that it has. */
export function PublishButton() {
  const { act } = useHere();
  return html`
    <button type="button" class="button" onClick=${() => act({ kind: "publish", request: {} })}>
      ${say("publish.button")}
    </button>
  `;
}

/** The dialog of an action, as `act` of the page's context was called. */
export function RunAction({ action, onClose, onDone }) {
  const { kind, request } = action;
  const { summary } = useHere();
  const title = chosen(request) ? "title_chosen" : summary.tally ? "title" : "title_over";
  const redrive = {
    title: say(`redrive.${title}`),
    confirm: say("redrive.confirm"),
    effect: (estimate) => html`<${Effect} estimate=${estimate} all=${!chosen(request)} />`,
  };
  const publish = {
    title: say("publish.title"),
    confirm: say("publish.confirm"),
    effect: ({ share, tasks }) => html`
      <p>${say("publish.share", { share: percent(share) })}</p>
      <p class="quiet">${say("redrive.tasks", { n: tasks })}</p>
    `,
  };
  const done = (answer) => onDone({ kind, ...answer });
  return html`
    <${ActionDialog}
      path=${kind}
      request=${request}
      ...${kind === "redrive" ? redrive : publish}
      onClose=${onClose}
      onDone=${done}
    />
  `;
}

/** What a redrive does: nothing is planned (it starts over), or items are fetched, and processed. */
function Effect({ estimate, all }) {
  const { items, requests, seconds, to_process: toProcess, batches, tasks } = estimate;
  if (estimate.starts_over) return html`<p>${say("redrive.starts_over")}</p>`;
  const cost = [say("redrive.requests", { n: requests })];
  if (seconds !== null) cost.push(say("about_time", { time: duration(seconds) }));
  return html`
    <ul>
      ${items > 0 && html`<li><b>${say("redrive.items", { n: items })}</b> (${cost.join(say("list.comma"))})</li>`}
      ${toProcess > 0 && html`<li><b>${say("redrive.to_process", { n: toProcess })}</b></li>`}
      ${batches > 0 && html`<li>${say("redrive.batches", { n: batches })}</li>`}
      <li>${say("redrive.tasks", { n: tasks })}</li>
    </ul>
    ${all && html`<p class="quiet">${say("redrive.keeps")}</p>`}
  `;
}

/** What was started, until it is closed. */
export function Started({ answer, onClose }) {
  return html`
    <div class="alerts" role="status">
      ${answer &&
      html`
        <${Banner} kind="good">
          ${say(`begun.${answer.kind}`, { n: answer.items ?? answer.tasks, tasks: answer.tasks })}${" "}
          <button type="button" class="textual" onClick=${onClose}>${say("close")}</button>
        <//>
      `}
    </div>
  `;
}

/** The redrives of the run so far, folded. */
export function Redrives() {
  const { redrives } = useHere().summary;
  if (redrives.length === 0) return null;
  return html`
    <details class="folded">
      <summary>${say("redrives.title", { n: redrives.length })}</summary>
      <ul class="plain">
        ${redrives.map(
          ({ at, by, kind, items, requests }) => html`
            <li key=${at}>
              <${Moment} iso=${at} /> · <bdi>${by}</bdi> · ${say(`redrives.${kind}`, { n: items, requests })}
            </li>
          `,
        )}
      </ul>
    </details>
  `;
}
