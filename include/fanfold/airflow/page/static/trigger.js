// Trigger a DAG with the default values of its Params.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { AirflowLink, dagPath } from "./airflow.js";
import { post, Refused } from "./api.js";
import { Banner, problemText } from "./notices.js";
import { Sign } from "./signs.js";
import { say } from "./text.js";

/** A button that opens the dialog; hidden without the permission. */
export function TriggerButton({ pipeline, onDone }) {
  const [open, setOpen] = useState(false);
  if (!pipeline.can_trigger) return null;
  return html`
    <button
      type="button"
      class="button"
      aria-label=${say("trigger.label", { name: pipeline.name })}
      onClick=${() => setOpen(true)}
    >
      <${Sign} name="play" />${say("trigger.button")}
    </button>
    ${open &&
    html`<${Dialog} pipeline=${pipeline} onDone=${onDone} onClose=${() => setOpen(false)} />`}
  `;
}

function Dialog({ pipeline, onDone, onClose }) {
  const { dag_id: dag, name, paused } = pipeline;
  const dialog = useRef(null);
  const [error, setError] = useState(null);
  const [sending, setSending] = useState(false);
  useEffect(() => dialog.current.showModal(), []);
  const confirm = async () => {
    setSending(true);
    setError(null);
    try {
      // Airflow's own API, called as by its own form.
      const path = `../../api/v2/dags/${encodeURIComponent(dag)}/dagRuns`;
      await post(path, { logical_date: new Date().toISOString() });
      dialog.current.close();
      onDone();
    } catch (problem) {
      setError(problem instanceof Refused ? problemText(problem) : say("trigger.unknown"));
    }
    setSending(false);
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="trigger-title" onClose=${onClose}>
      <h2 id="trigger-title">${say("trigger.title", { name })}</h2>
      <p>
        ${say("trigger.defaults")}${" "}
        <${AirflowLink} path=${dagPath(dag)}>${say("trigger.params")}<//>
      </p>
      ${paused && html`<${Banner} kind="warn">${say("trigger.paused")}<//>`}
      <div role="alert">${error && html`<${Banner} kind="bad">${error}<//>`}</div>
      <div class="actions">
        <button type="button" class="button" onClick=${() => dialog.current.close()}>
          ${say("cancel")}
        </button>
        <button type="button" class="button primary" disabled=${sending} onClick=${confirm}>
          ${say("trigger.button")}
        </button>
      </div>
    </dialog>
  `;
}
