// The run's report, a self-contained page, in a frame.

import { html } from "./vendor/preact.js";
import { address } from "./api.js";
import { useHere } from "./here.js";
import { say } from "./text.js";

export function Report() {
  const { home, summary, active, stamp } = useHere();
  if (!summary.report) {
    return html`<p class="absent">${say(active ? "report.not_yet" : "problem.no_report")}</p>`;
  }
  return html`
    <h2 class="unseen">${say("tab.report")}</h2>
    <iframe
      key=${stamp}
      class="report"
      title=${say("report.title")}
      sandbox="allow-scripts allow-downloads"
      src=${address(`${home}/report`)}
    />
  `;
}
