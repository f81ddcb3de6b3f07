// The page of all pipelines: their recent runs as a chart and as a table.

import { html, useEffect } from "./vendor/preact.js";
import { AirflowLink, dagPath, itemsPath } from "./airflow.js";
import { Chart } from "./chart.js";
import { count, duration, Moment, NONE } from "./format.js";
import { Absent, Banner, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { OutcomeBar } from "./progress.js";
import { Sign } from "./signs.js";
import { Verdict } from "./states.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";

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
            (pipeline) => html`<${Pipeline} key=${pipeline.dag_id} pipeline=${pipeline} />`,
          )}
        `
      : html`<${Absent} ...${polled} />`}
  `;
}

function Pipeline({ pipeline }) {
  const { dag_id: dag, name, paused, description, runs } = pipeline;
  const id = `pipeline-${dag}`;
  return html`
    <section class="pipeline" aria-labelledby=${id}>
      <div class="title">
        <h2 id=${id}><${AirflowLink} path=${dagPath(dag)}><bdi>${name}</bdi><//></h2>
        ${paused &&
        html`
          <span class="badge state-none"><${Sign} name="pause" />${say("pipeline.paused")}</span>
        `}
      </div>
      ${description && html`<p class="quiet wrap lines" dir="auto">${description}</p>`}
      ${runs.length === 0
        ? html`<p class="absent">${say("pipeline.no_runs")}</p>`
        : html`
            ${runs.length > 1 && html`<${Chart} runs=${runs} name=${name} />`}
            <${Runs} dag=${dag} runs=${runs} name=${name} />
          `}
    </section>
  `;
}

function Runs({ dag, runs, name }) {
  const titles = [
    say("col.run"),
    say("col.verdict"),
    say("fact.logical_date"),
    numeric(say("fact.duration")),
    numeric(say("col.rows")),
    numeric(say("col.rejected")),
    say("col.items"),
    say("fact.started"),
  ];
  return html`
    <${Table} label=${say("pipeline.runs", { name })} titles=${titles} look="zebra">
      ${runs.map(
        (run) => html`
          <tr key=${run.run_id}>
            <td>
              <${AirflowLink}
                path=${itemsPath(dag, run.run_id)}
                class="clamp id"
                title=${run.run_id}
              >
                <bdi>${run.run_id}</bdi>
              <//>
            </td>
            <td><${Verdict} verdict=${run.verdict} /></td>
            <td><${Moment} iso=${run.logical_date} toMinute /></td>
            <td class="number">${duration(run.seconds)}</td>
            <td class="number">${count(run.rows)}</td>
            <td class="number">${count(run.rejected)}</td>
            <td>${run.tally?.planned ? html`<${OutcomeBar} tally=${run.tally} small />` : NONE}</td>
            <td><${Moment} iso=${run.started_at} toMinute /></td>
          </tr>
        `,
      )}
    <//>
  `;
}
