// The dataset and its folds: columns, rows in pages, and the files of the run.

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
import { Fact } from "./values.js";

const SIZE = 100; // rows a page

export function Dataset({ shown }) {
  const { home, stamp, summary, active } = useHere();
  const { verdict, merge } = summary;
  const tables = verdict === "empty" && merge ? [] : summary.tables;
  const [{ table, offset }, show] = useState({ table: null, offset: 0 });
  const setOffset = (to) => show({ table, offset: to });
  const params = query({ table, offset, limit: SIZE });
  const address = tables.length ? `${home}/dataset${params}` : null;
  const polled = usePolled(address, { paused: !shown, stamp, keep: true });
  if (tables.length === 0) return html`<p class="absent">${absence(summary, active)}</p>`;
  const dataset = polled.data;
  if (!dataset) return html`<${Absent} ...${polled} />`;
  const { rows, page, columns } = dataset;
  const from = page.length ? dataset.offset + 1 : 0;
  const range = { from, to: dataset.offset + page.length, n: rows };
  return html`
    <${Trouble} ...${polled} />
    <div class="above">
      <h2><bdi>${dataset.table}</bdi> · ${say("dataset.title", { n: rows })}</h2>
      ${tables.length > 1 &&
      html`
        <div class="choices" role="group" aria-label=${say("dataset.tables")}>
          ${tables.map(
            (name) => html`
              <button
                key=${name}
                type="button"
                aria-pressed=${name === (table ?? tables[0])}
                onClick=${() => show({ table: name, offset: 0 })}
              >
                <bdi>${name}</bdi>
              </button>
            `,
          )}
        </div>
      `}
    </div>
    ${dataset.table === tables[0] && html`<${Left} summary=${summary} />`}
    <${Columns} columns=${columns} rows=${rows} />
    <h3>${say("dataset.rows")}</h3>
    <${DataTable} key=${dataset.table} columns=${columns} page=${page} range=${range} />
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

function absence({ verdict, state, tally, merge }, active) {
  if (active) return say("dataset.not_yet");
  if (verdict === "empty" && merge) return say("run.nothing_new");
  if (verdict === "planned") return say("run.dry");
  return say(state === "failed" && tally ? "dataset.gate" : "problem.no_dataset");
}

/** What is not in the dataset: rows and keys of a merge, columns of files. */
function Left({ summary }) {
  const { merge, dropped_columns: dropped, more_dropped: more } = summary;
  if (!merge?.superseded && !merge?.deleted && !dropped.length) return null;
  return html`
    <dl class="facts">
      ${["superseded", "deleted"].map(
        (name) =>
          merge?.[name] > 0 &&
          html`
            <${Fact} key=${name} name=${`dataset.${name}`}>
              ${count(merge[name])}${" "}<small>${say(`dataset.${name}_why`)}</small>
            <//>
          `,
      )}
      ${dropped.length > 0 &&
      html`
        <${Fact} name="dataset.dropped">
          ${dropped.map(
            ({ name, files }, place) => html`
              ${place > 0 && say("list.comma")}<bdi>${name}</bdi>${" "}
              <small>${say("dataset.dropped_files", { n: files })}</small>
            `,
          )}
          ${more > 0 && html`${say("list.comma")}${say("dataset.dropped_more", { n: more })}`}
        <//>
      `}
    </dl>
  `;
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
              <td class="number">${rows && column.null_share !== null ? percent(column.null_share) : ""}</td>
            </tr>
          `,
        )}
      <//>
    </details>
  `;
}
