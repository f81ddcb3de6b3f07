// Actions on a finished run: a dialog with what the action would do, and its result.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { post, Refused } from "./api.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
import { say } from "./text.js";

/**
 * A dialog that asks the API for the effect of an action (dry run), shows it, and starts it when confirmed.
 *
 * `path`: of the action below the run; `request`: its body; `title`: its question; `confirm`: the text of
 * its button; `effect`: renders the response of the dry run.
 */
export function ActionDialog({ path, request, title, confirm, effect, onClose, onDone }) {
  const { home } = useHere();
  const dialog = useRef(null);
  const [estimate, setEstimate] = useState(null);
  const [error, setError] = useState(null);
  const [sending, setSending] = useState(false);

  const send = async (dryRun) => {
    try {
      return await post(`${home}/${path}`, { ...request, dry_run: dryRun });
    } catch (problem) {
      setError(problem instanceof Refused ? problemText(problem) : say("action.unknown"));
      return null;
    }
  };
  useEffect(() => {
    dialog.current.showModal();
    send(true).then((answer) => answer && setEstimate(answer));
  }, []);
  const start = async () => {
    setSending(true);
    setError(null);
    const answer = await send(false);
    setSending(false);
    if (!answer) return;
    dialog.current.close(); // Gives the focus back; only then may the dialog go.
    onDone(answer);
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="action-title" onClose=${onClose}>
      <h2 id="action-title">${title}</h2>
      <div role="status">
        ${!estimate && !error && html`<p>${say("action.asking")}</p>`}
        ${estimate && effect(estimate)}
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
          onClick=${start}
        >
          ${sending ? say("action.sending") : confirm}
        </button>
      </div>
    </dialog>
  `;
}
