// Redrive: its cost, a confirmation dialog, and its result.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { post, Refused } from "./api.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
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
  const { summary, redrive } = useHere();
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
        onClick=${() => redrive(request)}
      >
        <${Sign} name="again" />${children ?? say("redrive.all")}
      </button>
      ${reason && !mute && html`<small class="quiet">${reason}</small>`}
    </span>
  `;
}

function failureText(error) {
  return error instanceof Refused ? problemText(error) : say("redrive.unknown");
}

/** Requests the cost (dry run), shows it, and starts the redrive when confirmed. */
export function RedriveDialog({ request, onClose, onDone }) {
  const { home } = useHere();
  const dialog = useRef(null);
  const [estimate, setEstimate] = useState(null);
  const [error, setError] = useState(null);
  const [sending, setSending] = useState(false);

  const send = async (dryRun) => {
    try {
      return await post(`${home}/redrive`, { ...request, dry_run: dryRun });
    } catch (problem) {
      setError(failureText(problem));
      return null;
    }
  };
  useEffect(() => {
    dialog.current.showModal();
    send(true).then((answer) => answer && setEstimate(answer));
  }, []);
  const confirm = async () => {
    setSending(true);
    setError(null);
    const answer = await send(false);
    setSending(false);
    if (!answer) return;
    dialog.current.close(); // Gives the focus back; only then may the dialog go.
    onDone(answer);
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="redrive-title" onClose=${onClose}>
      <h2 id="redrive-title">${say(chosen(request) ? "redrive.title_chosen" : "redrive.title")}</h2>
      <div role="status">
        ${!estimate && !error && html`<p>${say("redrive.asking")}</p>`}
        ${estimate && html`<${Estimate} estimate=${estimate} all=${!chosen(request)} />`}
      </div>
      <div role="alert">${error && html`<${Banner} kind="bad">${error}<//>`}</div>
      <div class="actions">
        <button type="button" class="button" onClick=${() => dialog.current.close()}>
          ${say(estimate ? "cancel" : "close")}
        </button>
        <button
          type="button"
          class="button primary"
          disabled=${!estimate || estimate.tasks === 0 || sending}
          onClick=${confirm}
        >
          ${say(sending ? "redrive.sending" : "redrive.confirm")}
        </button>
      </div>
    </dialog>
  `;
}

function Estimate({ estimate, all }) {
  const lines = ["items", "requests", "batches", "tasks"];
  return html`
    <p>${say("redrive.cost")}</p>
    <ul>
      ${lines.map(
        (name) => html`<li key=${name}>${say(`redrive.${name}`, { n: estimate[name] })}</li>`,
      )}
    </ul>
    ${all && html`<p class="quiet">${say("redrive.keeps")}</p>`}
  `;
}

/** The started redrive, until it is closed. */
export function Redriven({ answer, onClose }) {
  return html`
    <div class="alerts" role="status">
      ${answer &&
      html`
        <${Banner} kind="good">
          ${say("redrive.begun", { n: answer.items, tasks: answer.tasks })}${" "}
          <button type="button" class="textual" onClick=${onClose}>${say("close")}</button>
        <//>
      `}
    </div>
  `;
}
