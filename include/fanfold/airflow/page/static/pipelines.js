// The page of all pipelines: schedule, latest dataset and recent runs of each.

import { html, useEffect, useState } from "./vendor/preact.js";
import { AirflowLink, dagPath, itemsPath } from "./airflow.js";
import { bytes, count, duration, Moment, momentText, NONE } from "./format.js";
import { Absent, Banner, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { tallyText } from "./progress.js";
import { RunBars } from "./runbars.js";
import { Sign } from "./signs.js";
import { Verdict } from "./states.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";
import { TriggerButton } from "./trigger.js";
import { Fact } from "./values.js";

const PAUSE = 10_000; // milliseconds

export function Pipelines() {
  const polled = usePolled("pipelines", { every: () => PAUSE });
  const answer = polled.data;
  useEffect(() => {
    document.title = say("pipelines.title");
  }, []);
  return html`
    <h1>${say("pipelines.title")}</h1>
    ${answer
      ? html`
          <${Trouble} ...${polled} />
          <div class="alerts" role="alert">
            ${!answer.scheduler && html`<${Banner} kind="bad">${say("scheduler.down")}<//>`}
            ${!answer.workspace && html`<${Banner} kind="bad">${say("problem.workspace_away")}<//>`}
          </div>
          ${answer.pipelines.length === 0 && html`<p class="absent">${say("pipelines.none")}</p>`}
          ${answer.pipelines.map(
            (pipeline) => html`
              <${Pipeline} key=${pipeline.dag_id} pipeline=${pipeline} onTrigger=${polled.reload} />
            `,
          )}
        `
      : html`<${Absent} ...${polled} />`}
  `;
}

/** A pipeline; one without runs takes a line. */
function Pipeline({ pipeline, onTrigger }) {
  const { dag_id: dag, name, paused, description, latest, runs } = pipeline;
  const id = `pipeline-${dag}`;
  const newest = runs[0];
  return html`
    <section class="pipeline" aria-labelledby=${id}>
      <div class="above">
        <div class="title">
          <h2 id=${id}><${AirflowLink} path=${dagPath(dag)}><bdi>${name}</bdi><//></h2>
          ${paused &&
          html`
            <span class="badge state-none"><${Sign} name="pause" />${say("pipeline.paused")}</span>
          `}
          ${!newest &&
          html`<small>${say("pipeline.no_runs")} ${pipeline.schedule && html`<${Schedule} ...${pipeline} />`}</small>`}
          <small class="clamp description" dir="auto" title=${description}>${description}</small>
        </div>
        <${TriggerButton} pipeline=${pipeline} onDone=${onTrigger} />
      </div>
      <div class="beside">
        ${newest && html`<${RunBars} dag=${dag} name=${name} runs=${runs} />`}
        <dl class="facts">
          ${newest && html`<${Fact} name="pipeline.last_run"><${Newest} dag=${dag} run=${newest} /><//>`}
          ${latest && html`<${Fact} name="pipeline.latest"><${Latest} dag=${dag} latest=${latest} /><//>`}
          ${newest && pipeline.schedule && html`<${Fact} name="pipeline.schedule"><${Schedule} ...${pipeline} /><//>`}
        </dl>
      </div>
      ${newest && html`<${Runs} dag=${dag} name=${name} runs=${runs} />`}
    </section>
  `;
}

function Newest({ dag, run }) {
  return html`
    <${Verdict} verdict=${run.verdict} />${" "}
    <${AirflowLink} path=${itemsPath(dag, run.run_id)} title=${run.run_id}>
      ${momentText(run.started_at ?? run.logical_date)}
    <//>
    ${run.tally?.planned > 0 && html`<br />${tallyText(run.tally)}`}
  `;
}

function Schedule({ schedule, next_run: next, paused }) {
  if (!next || paused) return schedule;
  return html`
    ${schedule}${say("pipeline.next_run")}${" "}<${Moment} iso=${next} toMinute />
  `;
}

/** Age and size of the dataset that `latest.json` refers to. */
function Latest({ dag, latest }) {
  const { run_id: run, published_at: at } = latest;
  const age = say("pipeline.age", { time: duration((Date.now() - Date.parse(at)) / 1000) });
  return html`
    ${run ? html`<${AirflowLink} path=${itemsPath(dag, run)} title=${run}>${age}<//>` : age}
    ${latest.rows !== null && html`, ${say("pipeline.rows", { n: latest.rows })}`}
    ${latest.bytes !== null && html`, ${bytes(latest.bytes)}`}
  `;
}

function Runs({ dag, runs, name }) {
  const [open, setOpen] = useState(false);
  const titles = [
    say("col.run"),
    say("col.verdict"),
    say("fact.started"),
    numeric(say("fact.duration")),
    say("col.items"),
    numeric(say("col.rows")),
    numeric(say("col.rejected")),
    say("fact.logical_date"),
  ];
  return html`
    <button type="button" class="textual" aria-expanded=${open} onClick=${() => setOpen(!open)}>
      ${say(open ? "pipeline.fold" : "pipeline.unfold", { n: runs.length })}
    </button>
    ${open &&
    html`
      <${Table} label=${say("pipeline.runs", { name })} titles=${titles} look="zebra">
        ${runs.map((run) => html`<${Row} key=${run.run_id} dag=${dag} run=${run} />`)}
      <//>
    `}
  `;
}

function Row({ dag, run }) {
  return html`
    <tr>
      <td>
        <${AirflowLink} path=${itemsPath(dag, run.run_id)} class="clamp id" title=${run.run_id}>
          <bdi>${run.run_id}</bdi>
        <//>
      </td>
      <td><${Verdict} verdict=${run.verdict} /></td>
      <td><${Moment} iso=${run.started_at} toMinute /></td>
      <td class="number">${duration(run.seconds)}</td>
      <td>${run.tally?.planned ? tallyText(run.tally) : NONE}</td>
      <td class="number">${count(run.rows)}</td>
      <td class="number">${count(run.rejected)}</td>
      <td><${Moment} iso=${run.logical_date} toMinute /></td>
    </tr>
  `;
}
