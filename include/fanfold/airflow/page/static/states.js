// What states of tasks, outcomes of items and verdicts on runs are called, and how they look.

import { html } from "./vendor/preact.js";
import { momentText } from "./format.js";
import { Sign } from "./signs.js";
import { has, say } from "./text.js";

/** Outcomes in the order in which they are shown. */
export const OUTCOMES = ["ok", "missing", "invalid", "failed", "waiting"];

const OUTCOME_SIGNS = {
  ok: "check", missing: "none", invalid: "bang", failed: "cross", waiting: "dots",
};

const STATE_SIGNS = {
  success: "check", failed: "cross", running: "play", restarting: "again", queued: "clock",
  scheduled: "clock", deferred: "pause", up_for_retry: "again", up_for_reschedule: "clock",
  upstream_failed: "up", skipped: "skip", removed: "dash", none: "dots",
};

// A verdict has the colours of the state of Airflow's that is nearest to it.
const VERDICTS = {
  queued: ["queued", "clock"], running: ["running", "play"], waiting: ["deferred", "pause"],
  planned: ["scheduled", "dots"], complete: ["success", "check"], partial: ["up_for_retry", "half"],
  empty: ["none", "none"], failed: ["failed", "cross"],
};

/** A state of Airflow's as a word; one that we do not know as Airflow writes it. */
export const stateWord = (state) => {
  const name = state ?? "none";
  return has(`state.${name}`) ? say(`state.${name}`) : name;
};

export const outcomeWord = (outcome) => say(`outcome.${outcome}`);
export const stateSign = (state) => STATE_SIGNS[state ?? "none"] ?? "dots";
export const stateClass = (state) => `state-${state in STATE_SIGNS ? state : "none"}`;
export const stillActive = (state) => state === "queued" || state === "running";

/** An outcome as a sign and a word in its colour. */
export function Outcome({ status }) {
  return html`
    <span class="outcome of-${status}">
      <${Sign} name=${OUTCOME_SIGNS[status]} />${outcomeWord(status)}
    </span>
  `;
}

/** A state of Airflow's as a badge. */
export function State({ state }) {
  return html`
    <span class="badge ${stateClass(state)}">
      <${Sign} name=${stateSign(state)} />${stateWord(state)}
    </span>
  `;
}

/** What became of a run, as a badge. */
export function Verdict({ verdict, until = null }) {
  const [state, sign] = VERDICTS[verdict];
  const word = until
    ? say("verdict.waiting_until", { time: momentText(until) })
    : say(`verdict.${verdict}`);
  return html`<span class="badge state-${state}"><${Sign} name=${sign} />${word}</span>`;
}
