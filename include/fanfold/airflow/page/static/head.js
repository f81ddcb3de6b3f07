// The head of a run's page: verdict, search, alerts, numbers, and what is folded.

import { html } from "./vendor/preact.js";
import { parentDocument } from "./airflow.js";
import { Alerts } from "./alerts.js";
import { duration, Moment } from "./format.js";
import { useHere } from "./here.js";
import { Limits } from "./limits.js";
import { DryRun, figures, OutcomeBar, Tiles } from "./progress.js";
import { RedriveButton, Redrives } from "./redrive.js";
import { Search } from "./search.js";
import { Verdict } from "./states.js";
import { Steps } from "./steps.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

/** `trouble`: the state of the poll of the summary. Airflow shows the run, its start and duration. */
export function Head({ trouble }) {
  const { dag, run, summary, active } = useHere();
  const { tally, noun, verdict, redrive } = summary;
  const alone = !parentDocument();
  const failed = summary.state === "failed"; // Its box has the button.
  // Airflow's state of the run is above.
  const told = !alone && ["queued", "running", "failed"].includes(verdict);
  const redrivable = redrive.possible && !failed;
  return html`
    <header class="head">
      <div class="title">
        <h1>${noun ? say("run.heading_of", { noun }) : say("run.heading")}</h1>
        ${!told && html`<${Verdict} verdict=${verdict} until=${summary.wait?.until} />`}
        ${redrivable && html`<${RedriveButton} small />`}
        <${Search} />
      </div>
      <${Alerts} ...${trouble} />
      ${tally && verdict === "planned" && html`<${DryRun} summary=${summary} />`}
      ${tally && verdict !== "planned" && html`<${Tiles} summary=${summary} /><${OutcomeBar} tally=${tally} />`}
      <dl class="facts">
        ${alone &&
        html`
          <${Fact} name="fact.dag"><bdi>${dag}</bdi><//>
          <${Fact} name="fact.run"><bdi>${run}</bdi><//>
          <${Fact} name="fact.logical_date"><${Moment} iso=${summary.logical_date} toMinute /><//>
          <${Fact} name="fact.started"><${Moment} iso=${summary.started_at} /><//>
          <${Fact} name=${active ? "fact.running_for" : "fact.duration"}>${duration(lasted(summary))}<//>
        `}
        ${summary.places.length > 0 &&
        html`<${Fact} name="fact.places"><bdi>${summary.places.join(", ")}</bdi><//>`}
        ${summary.items_from && html`<${Fact} name="fact.items_from">${summary.items_from}<//>`}
        ${tally && figures(summary, active)}
        ${tally && html`<${Limits} />`}
      </dl>
      <div class="folds"><${Steps} /><${Redrives} /></div>
    </header>
  `;
}

/** Seconds from the start of the run in Airflow to its end, or to now. */
function lasted({ started_at: from, ended_at: to }) {
  if (!from) return null;
  return Math.max(0, ((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000);
}
