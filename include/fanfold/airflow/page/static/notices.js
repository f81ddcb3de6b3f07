// What is said when something is not as it should be: refusals, silence, and things to know.

import { html } from "./vendor/preact.js";
import { Sign } from "./signs.js";
import { has, say } from "./text.js";

/** A refusal of the API's as a sentence; in the API's words where we have none. */
export function problemText(problem) {
  const key = `problem.${problem.code}`;
  return has(key) ? say(key) : say("problem.other", { detail: problem.detail });
}

/** A line that stands out. `kind`: info, warn or bad. */
export function Banner({ kind, children }) {
  const sign = { info: "dots", warn: "bang", bad: "cross", good: "check" }[kind];
  return html`<div class="banner ${kind}"><${Sign} name=${sign} /><div>${children}</div></div>`;
}

/** In place of what cannot be shown: still loading, refused, or nobody answers. */
export function Absent({ problem, away }) {
  if (problem) return html`<p class="absent">${problemText(problem)}</p>`;
  return html`<p class="absent" role="status">${say(away ? "server.away" : "loading")}</p>`;
}

/** Above what is shown still, though the last request got no answer. */
export function Trouble({ problem, away }) {
  if (problem) return html`<${Banner} kind="warn">${problemText(problem)}<//>`;
  return away ? html`<${Banner} kind="warn">${say("server.away")}<//>` : null;
}
