// Labels and icons of task states, item outcomes and run verdicts.

import { html } from "./vendor/preact.js";
import { momentText } from "./format.js";
import { Sign } from "./signs.js";
import { has, say } from "./text.js";

/** Outcomes in display order. */
export const OUTCOMES = ["ok", "missing", "invalid", "failed", "waiting"];

const OUTCOME_SIGNS = {
  ok: "check", missing: "none", invalid: "bang", failed: "cross", waiting: "dots",
};

const STATE_SIGNS = {
  success: "check", failed: "cross", running: "play", restarting: "again", queued: "clock",
  scheduled: "clock", deferred: "pause", awaiting_input: "bang", up_for_retry: "again", up_for_reschedule: "clock",
  upstream_failed: "up", skipped: "skip", removed: "dash", none: "dots",
};

// A verdict has the colours of the most similar Airflow state.
const VERDICTS = {
  queued: ["queued", "clock"], running: ["running", "play"], waiting: ["deferred", "pause"],
  approval: ["awaiting_input", "bang"],
  planned: ["scheduled", "dots"], complete: ["success", "check"], partial: ["up_for_retry", "half"],
  empty: ["none", "none"], failed: ["failed", "cross"],
};

/** The label of an Airflow state; an unknown state is shown as it is. */
export const stateWord = (state) => {
  const name = state ?? "none";
  return has(`state.${name}`) ? say(`state.${name}`) : name;
};

export const outcomeWord = (outcome) => say(`outcome.${outcome}`);
export const stateSign = (state) => STATE_SIGNS[state ?? "none"] ?? "dots";
export const stateClass = (state) => `state-${state in STATE_SIGNS ? state : "none"}`;
export const stillActive = (state) => state === "queued" || state === "running";

/** An outcome as an icon and a label in its colour. */
export function Outcome({ status }) {
  return html`
    <span class="outcome of-${status}">
      <${Sign} name=${OUTCOME_SIGNS[status]} />${outcomeWord(status)}
    </span>
  `;
}

/** An Airflow state as a badge. */
export function State({ state }) {
  return html`
    <span class="badge ${stateClass(state)}">
      <${Sign} name=${stateSign(state)} />${stateWord(state)}
    </span>
  `;
}

export const verdictWord = (verdict) => say(`verdict.${verdict}`);

/** The icon of a verdict. */
export function VerdictSign({ verdict }) {
  const [state, sign] = VERDICTS[verdict];
  return html`<span class="mark state-${state}"><${Sign} name=${sign} /></span>`;
}

/** The verdict on a run, as a badge. */
export function Verdict({ verdict, until = null }) {
  const [state, sign] = VERDICTS[verdict];
  const word = until
    ? say("verdict.waiting_until", { time: momentText(until) })
    : verdictWord(verdict);
  return html`<span class="badge state-${state}"><${Sign} name=${sign} />${word}</span>`;
}
