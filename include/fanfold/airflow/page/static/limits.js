// The limits of a run: tolerances, and while it is active, concurrency and rate, which can be changed.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { post, Refused } from "./api.js";
import { momentText, percent, rate } from "./format.js";
import { useHere } from "./here.js";
import { Banner, problemText } from "./notices.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

const TOLERANCES = { tolerated_failure_percentage: "failures", tolerated_rejected_percentage: "rejected" };
const PERCENT = { min: 0, max: 100, step: "any", required: true };
const FIELDS = {
  tolerated_failure_percentage: PERCENT,
  tolerated_rejected_percentage: PERCENT,
  concurrency: { min: 1, max: 256, required: true },
  requests_per_second: { min: 0, step: "any" }, // Empty: that of the connection.
};

/** The limits as facts, with a button that changes them while the run is active. */
export function Limits() {
  const { summary, active } = useHere();
  const { limits, shares, redrive } = summary;
  const [open, setOpen] = useState(false);
  const known = Object.entries(TOLERANCES).filter(([name]) => limits[name] !== null);
  const tolerances = known.map(([name, of]) => {
    const limit = percent(limits[name] / 100);
    if (shares[of] === null) return say(`limits.${of}`, { limit });
    return say(`limits.${of}_now`, { share: percent(shares[of]), limit });
  });
  const parts = [...tolerances, ...(active ? speedsOf(limits) : [])];
  return html`
    <${Fact} name="fact.limits">
      ${parts.join(" · ")}${" "}
      ${limits.changed_at &&
      html`
        <small>
          ${say("limits.changed", { by: limits.changed_by, time: momentText(limits.changed_at) })}
        </small>
      `}${" "}
      ${active &&
      redrive.allowed &&
      html`
        <button type="button" class="textual" onClick=${() => setOpen(true)}>${say("limits.change")}</button>
      `}
      ${open && html`<${LimitsDialog} limits=${limits} onClose=${() => setOpen(false)} />`}
    <//>
  `;
}

function speedsOf(limits) {
  const known = ["concurrency", "requests_per_second"].filter((name) => limits[name] !== null);
  return known.map((name) => say(`limits.${name}`, { n: limits[name], text: rate(limits[name]) }));
}

function LimitsDialog({ limits, onClose }) {
  const { home, hurry } = useHere();
  const dialog = useRef(null);
  const [error, setError] = useState(null);
  // A pipeline without requests has no limits of speed.
  const names = Object.keys(FIELDS).filter((name) => name in TOLERANCES || limits.concurrency !== null);

  useEffect(() => dialog.current.showModal(), []);
  const save = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const given = names.map((name) => [name, form.get(name) === "" ? null : Number(form.get(name))]);
    const changed = given.filter(([name, number]) => number !== limits[name]);
    try {
      if (changed.length) await post(`${home}/limits`, Object.fromEntries(changed), "PATCH");
    } catch (problem) {
      setError(problem instanceof Refused ? problemText(problem) : say("server.unreachable"));
      return;
    }
    dialog.current.close();
    hurry();
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="limits-title" onClose=${onClose}>
      <h2 id="limits-title">${say("limits.title")}</h2>
      <p class="quiet">${say("limits.note")}</p>
      <form onSubmit=${save}>
        ${names.map(
          (name) => html`
            <label key=${name} class="field">
              <span>${say(`limits.of_${name}`)}</span>
              <input type="number" name=${name} ...${FIELDS[name]} defaultValue=${limits[name] ?? ""} />
            </label>
          `,
        )}
        <div role="alert">${error && html`<${Banner} kind="bad">${error}<//>`}</div>
        <div class="actions">
          <button type="button" class="button" onClick=${() => dialog.current.close()}>${say("cancel")}</button>
          <button class="button primary">${say("limits.save")}</button>
        </div>
      </form>
    </dialog>
  `;
}
