// Messages about rejected requests, connection errors and missing data.

import { html } from "./vendor/preact.js";
import { Sign } from "./signs.js";
import { has, say } from "./text.js";

/** The text for an error of the API; its English detail if there is no text for its code. */
export function problemText(problem) {
  const key = `problem.${problem.code}`;
  return has(key) ? say(key) : say("problem.other", { detail: problem.detail });
}

/** A highlighted line. `kind`: info, warn, bad or good. */
export function Banner({ kind, children }) {
  const sign = { info: "dots", warn: "bang", bad: "cross", good: "check" }[kind];
  return html`<div class="banner ${kind}"><${Sign} name=${sign} /><div>${children}</div></div>`;
}

/** Instead of data: loading, rejected, or no connection. */
export function Absent({ problem, unreachable }) {
  if (problem) return html`<p class="absent">${problemText(problem)}</p>`;
  return html`<p class="absent" role="status">${say(unreachable ? "server.unreachable" : "loading")}</p>`;
}

/** Above data that may be out of date because the last request failed. */
export function Trouble({ problem, unreachable }) {
  if (problem) return html`<${Banner} kind="warn">${problemText(problem)}<//>`;
  return unreachable ? html`<${Banner} kind="warn">${say("server.unreachable")}<//>` : null;
}
