// The batches as a table, sorted by any of its columns.

import { html } from "./vendor/preact.js";
import { AirflowLink, logPath } from "./airflow.js";
import { count, duration, Moment } from "./format.js";
import { useHere } from "./here.js";
import { SortHead, useSorted } from "./sorting.js";
import { OUTCOMES, outcomeWord, State, stateWord } from "./states.js";
import { Table } from "./table.js";
import { say } from "./text.js";

const NUMBERS = ["batch", "seconds", "rows", "rejected", "tries", "requests"];

function valueOf(batch, column) {
  if (column === "state") return stateWord(batch.state);
  return column in batch.tally ? batch.tally[column] : batch[column];
}

export function BatchTable({ batches }) {
  const { dag, run } = useHere();
  const { sorted, sort } = useSorted(batches, valueOf);
  const waits = batches.some((batch) => batch.waits_until);
  const head = (column, title) => html`
    <${SortHead}
      key=${column}
      column=${column}
      sort=${sort}
      numeric=${NUMBERS.includes(column) || OUTCOMES.includes(column)}
    >
      ${title}
    <//>
  `;
  const titles = [
    ...["batch", "label", "state", "seconds"].map((name) => head(name, say(`col.${name}`))),
    ...OUTCOMES.map((outcome) => head(outcome, outcomeWord(outcome))),
    ...["rows", "rejected", "requests", "tries", ...(waits ? ["waits_until"] : [])].map((name) => head(name, say(`col.${name}`))),
  ];
  return html`
    <${Table} label=${say("batches.label")} titles=${titles} look="zebra" tall>
      ${sorted.map(
        (batch) => html`
          <tr key=${batch.batch}>
            <td class="number">
              <${AirflowLink}
                path=${logPath(dag, run, batch.task, batch.batch)}
                aria-label=${say("batch.log", { n: batch.batch })}
              >
                ${count(batch.batch)}
              <//>
            </td>
            <td><span class="clamp" dir="auto" title=${batch.label}>${batch.label}</span></td>
            <td><${State} state=${batch.state} /></td>
            <td class="number">${duration(batch.seconds)}</td>
            ${OUTCOMES.map(
              (outcome) => html`
                <td key=${outcome} class="number">${count(batch.tally[outcome])}</td>
              `,
            )}
            <td class="number">${count(batch.rows)}</td>
            <td class="number">${count(batch.rejected)}</td>
            <td class="number">${count(batch.requests)}</td>
            <td class="number">${count(batch.tries)}</td>
            ${waits && html`<td><${Moment} iso=${batch.waits_until} brief /></td>`}
          </tr>
        `,
      )}
    <//>
  `;
}
