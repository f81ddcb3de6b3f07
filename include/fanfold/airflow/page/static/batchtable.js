// The batches as rows with their progress, sorted by any column; a column that says nothing is left out.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { AirflowLink, logPath } from "./airflow.js";
import { count, duration, Moment } from "./format.js";
import { useHere } from "./here.js";
import { tabHref } from "./place.js";
import { OutcomeBar } from "./progress.js";
import { SortHead, useSorted } from "./sorting.js";
import { outcomeWord, State, stateWord } from "./states.js";
import { Table } from "./table.js";
import { say } from "./text.js";
import { shortKey } from "./values.js";

const LOST = ["missing", "invalid", "failed"];
const NUMBERS = ["batch", "seconds", ...LOST, "rows", "rejected", "requests", "tries"];

const done = ({ tally }) => tally.planned - tally.waiting;

function valueOf(batch, column) {
  if (column === "state") return stateWord(batch.state);
  if (column === "progress") return done(batch) / batch.tally.planned;
  return column in batch.tally ? batch.tally[column] : batch[column];
}

/** `chosen`: the number of the batch that the address names, if it does. */
export function BatchTable({ batches, chosen }) {
  const { dag, run } = useHere();
  const { sorted, sort } = useSorted(batches, valueOf);
  const has = (column, least = 0) => batches.some((batch) => valueOf(batch, column) > least);
  const columns = [
    "batch", "label", "state", "progress", "seconds",
    ...LOST.filter((outcome) => has(outcome)),
    "rows",
    ...(has("rejected") ? ["rejected"] : []),
    "requests",
    ...(has("tries", 1) ? ["tries"] : []),
    ...(batches.some((batch) => batch.waits_until) ? ["waits_until"] : []),
  ];
  const titles = columns.map(
    (column) => html`
      <${SortHead} key=${column} column=${column} sort=${sort} numeric=${NUMBERS.includes(column)}>
        ${LOST.includes(column) ? outcomeWord(column) : say(`col.${column}`)}
      <//>
    `,
  );
  const cells = {
    batch: (batch) => html`
      <${AirflowLink}
        path=${logPath(dag, run, batch.task, batch.batch)}
        aria-label=${say("batch.log", { n: batch.batch })}
      >
        ${count(batch.batch)}
      <//>
    `,
    label: ({ label }) => html`<span class="clamp" dir="auto" title=${label}>${shortKey(label)}</span>`,
    state: ({ state }) => html`<${State} state=${state} />`,
    progress: (batch) => html`
      <${OutcomeBar} tally=${batch.tally} small />
      <small>${say("batch.done", { done: done(batch), n: batch.tally.planned })}</small>
    `,
    seconds: ({ seconds }) => duration(seconds),
    waits_until: ({ waits_until: until }) => html`<${Moment} iso=${until} brief />`,
  };
  const cell = (batch, column) => {
    if (cells[column]) return cells[column](batch);
    const number = valueOf(batch, column);
    const linked = number > 0 && [...LOST, "rejected"].includes(column);
    return linked ? html`<a href=${tabHref("failures", column)}>${count(number)}</a>` : count(number);
  };
  return html`
    <${Table} label=${say("batches.label")} titles=${titles} look="zebra" tall>
      ${sorted.map(
        (batch) => html`
          <${Row} key=${batch.batch} chosen=${batch.batch === chosen}>
            ${columns.map(
              (column) => html`
                <td key=${column} class=${NUMBERS.includes(column) ? "number" : ""}>${cell(batch, column)}</td>
              `,
            )}
          <//>
        `,
      )}
    <//>
  `;
}

function Row({ chosen, children }) {
  const row = useRef(null);
  useEffect(() => {
    if (chosen) row.current.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return html`<tr ref=${row} class=${chosen ? "chosen" : ""}>${children}</tr>`;
}
