// The dataset: its columns, its rows in pages, and its files.

import { html, useState } from "./vendor/preact.js";
import { query } from "./api.js";
import { DataTable } from "./datatable.js";
import { Files } from "./files.js";
import { count, percent } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { Pager } from "./pager.js";
import { usePolled } from "./polling.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";

const SIZE = 100; // rows a page

export function Dataset({ shown }) {
  const { home, stamp, summary, active } = useHere();
  const [offset, setOffset] = useState(0);
  const address = summary.dataset ? `${home}/dataset${query({ offset, limit: SIZE })}` : null;
  const polled = usePolled(address, { paused: !shown, stamp, keep: true });
  if (!summary.dataset) return html`<p class="absent">${absence(summary, active)}</p>`;
  const dataset = polled.data;
  if (!dataset) return html`<${Absent} ...${polled} />`;
  const { rows, page, columns } = dataset;
  const from = page.length ? dataset.offset + 1 : 0;
  const range = { from, to: dataset.offset + page.length, n: rows };
  return html`
    <${Trouble} ...${polled} />
    <h2>${say("dataset.title", { n: rows })}</h2>
    <${Columns} columns=${columns} rows=${rows} />
    <h3>${say("dataset.rows")}</h3>
    <${DataTable} columns=${columns} page=${page} range=${range} />
    ${rows > SIZE &&
    html`
      <${Pager}
        range=${say("page.rows", range)}
        onBack=${offset > 0 && (() => setOffset(Math.max(0, offset - SIZE)))}
        onNext=${offset + SIZE < rows && (() => setOffset(offset + SIZE))}
      />
    `}
    <${Files} />
  `;
}

function absence({ verdict, state, tally }, active) {
  if (active) return say("dataset.not_yet");
  if (verdict === "planned") return say("run.dry");
  return say(state === "failed" && tally ? "dataset.gate" : "problem.no_dataset");
}

function Columns({ columns, rows }) {
  const label = say("dataset.columns", { n: columns.length });
  const numbers = [numeric(say("col.nulls")), numeric(say("col.null_share"))];
  const titles = [say("col.column"), say("col.type"), ...numbers];
  return html`
    <details>
      <summary>${label}</summary>
      <${Table} label=${label} titles=${titles} look="zebra">
        ${columns.map(
          (column) => html`
            <tr key=${column.name}>
              <th scope="row"><bdi>${column.name}</bdi></th>
              <td><code>${column.type}</code></td>
              <td class="number">${count(column.nulls)}</td>
              <td class="number">${rows ? percent(column.null_share) : ""}</td>
            </tr>
          `,
        )}
      <//>
    </details>
  `;
}
