// The head of a run's page: verdict, alerts, steps and numbers.

import { html } from "./vendor/preact.js";
import { parentDocument } from "./airflow.js";
import { Alerts } from "./alerts.js";
import { duration, Moment } from "./format.js";
import { useHere } from "./here.js";
import { Figures, OutcomeBar, Tiles } from "./progress.js";
import { RedriveButton } from "./redrive.js";
import { Verdict } from "./states.js";
import { Steps } from "./steps.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

/** `trouble`: the state of the poll of the summary. */
export function Head({ trouble }) {
  const { dag, run, summary, active } = useHere();
  const { tally, noun } = summary;
  const redrivable = summary.redrive.items > 0 || summary.redrive.possible;
  return html`
    <header class="head">
      <div class="title">
        <h1>${noun ? say("run.heading_of", { noun }) : say("run.heading")}</h1>
        <${Verdict} verdict=${summary.verdict} until=${summary.wait?.until} />
        ${redrivable && html`<${RedriveButton} small />`}
      </div>
      <dl class="facts">
        ${!parentDocument() &&
        html`
          <${Fact} name="fact.dag"><bdi>${dag}</bdi><//>
          <${Fact} name="fact.run"><bdi>${run}</bdi><//>
        `}
        <${Fact} name="fact.logical_date"><${Moment} iso=${summary.logical_date} /><//>
        ${summary.places.length > 0 &&
        html`<${Fact} name="fact.places"><bdi>${summary.places.join(", ")}</bdi><//>`}
        <${Fact} name="fact.started"><${Moment} iso=${summary.started_at} /><//>
        <${Fact} name=${active ? "fact.running_for" : "fact.duration"}>${duration(lasted(summary))}<//>
      </dl>
      <${Alerts} ...${trouble} />
      ${tally && html`<${Tiles} summary=${summary} /><${OutcomeBar} tally=${tally} />`}
      ${tally && html`<${Figures} summary=${summary} active=${active} />`}
      <${Steps} />
    </header>
  `;
}

/** Seconds from the start of the run in Airflow to its end, or to now. */
function lasted({ started_at: from, ended_at: to }) {
  if (!from) return null;
  return Math.max(0, ((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000);
}
