// A bar for each recent run of a pipeline, stacked by outcome.

import { html } from "./vendor/preact.js";
import { AirflowLink, itemsPath } from "./airflow.js";
import { count, duration, momentText } from "./format.js";
import { tallyText } from "./progress.js";
import { OUTCOMES, VerdictSign, verdictWord } from "./states.js";
import { say } from "./text.js";

/** The runs from the oldest to the newest; a bar is as high as its run has items, and opens it. */
export function RunBars({ dag, name, runs }) {
  const most = Math.max(...runs.map((run) => run.tally?.planned ?? 0));
  return html`
    <figure class="runbars">
      <figcaption class="unseen">${say("runbars.label", { name })}</figcaption>
      <div class="scale" title=${say("runbars.scale")}><span>${count(most)}</span><span>0</span></div>
      <ol class="plain">
        ${runs.toReversed().map(
          (run) => html`<li key=${run.run_id}><${RunBar} dag=${dag} run=${run} most=${most} /></li>`,
        )}
      </ol>
    </figure>
  `;
}

function RunBar({ dag, run, most }) {
  const { verdict, tally } = run;
  const planned = tally?.planned ?? 0;
  const facts = [
    verdictWord(verdict),
    run.started_at && momentText(run.started_at),
    run.seconds !== null && duration(run.seconds),
    planned > 0 && tallyText(tally),
    run.rows !== null && say("pipeline.rows", { n: run.rows }),
  ];
  const label = facts.filter(Boolean).join(say("list.comma"));
  return html`
    <${AirflowLink} path=${itemsPath(dag, run.run_id)} aria-label=${label} title=${label}>
      <span class="column">
        <span class="stack" style=${{ height: `${(100 * planned) / most}%` }}>
          ${OUTCOMES.filter((outcome) => tally?.[outcome] > 0).map(
            (outcome) => html`
              <span
                key=${outcome}
                class="segment of-${outcome}"
                style=${{ flexGrow: tally[outcome] }}
              />
            `,
          )}
        </span>
      </span>
      <${VerdictSign} verdict=${verdict} />
    <//>
  `;
}
