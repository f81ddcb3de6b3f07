// The dataset and its folds: columns, rows in pages, and the files of the run.

import { html, useState } from "./vendor/preact.js";
import { query } from "./api.js";
import { Columns } from "./columns.js";
import { DataTable } from "./datatable.js";
import { Files } from "./files.js";
import { Filters, filterText } from "./filters.js";
import { count } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { Pager } from "./pager.js";
import { openTab } from "./place.js";
import { usePolled } from "./polling.js";
import { Reading } from "./reading.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

const SIZE = 100; // rows a page
const PATIENCE = 60_000; // milliseconds
const START = { offset: 0, order: null, filters: [] };

/** `detail` of the address: the table. */
export const Dataset = (props) => html`<${Shown} key=${props.detail} ...${props} />`;

function Shown({ shown, detail }) {
  const { home, stamp, summary, active } = useHere();
  const { verdict, merge } = summary;
  const tables = verdict === "empty" && merge ? [] : summary.tables;
  const table = tables.includes(detail) ? detail : null;
  const [{ offset, order, filters }, show] = useState(START);
  const change = (to) => show((now) => ({ ...now, offset: 0, ...to }));
  const params = query({
    table, offset, limit: SIZE,
    sort: order?.column, descending: order?.descending, filter: filters.map(filterText),
  });
  const address = tables.length ? `${home}/dataset${params}` : null;
  const polled = usePolled(address, { paused: !shown, stamp, keep: true, patience: PATIENCE });
  if (tables.length === 0) return html`<p class="absent">${absence(summary, active)}</p>`;
  const dataset = polled.data;
  if (!dataset) return html`<${Absent} ...${polled} />`;
  const { rows, matched, page, columns } = dataset;
  const from = page.length ? dataset.offset + 1 : 0;
  const range = { from, to: dataset.offset + page.length, n: matched };
  const press = (column) =>
    change({ order: { column, descending: order?.column === column && !order.descending } });
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
                onClick=${() => openTab("dataset", name)}
              >
                <bdi>${name}</bdi>
              </button>
            `,
          )}
        </div>
      `}
    </div>
    ${dataset.table === tables[0] && html`<${Left} summary=${summary} />`}
    <${Columns} key=${`columns of ${dataset.table}`} table=${dataset.table} columns=${columns} rows=${rows} />
    <${Reading} table=${dataset.table} />
    <h3>${say("dataset.rows")}</h3>
    <${Filters}
      key=${dataset.table}
      columns=${columns}
      filters=${filters}
      found=${say("dataset.found", { n: matched })}
      onChange=${(to) => change({ filters: to })}
    />
    <${DataTable} columns=${columns} page=${page} sort=${{ order, press }} />
    ${matched > SIZE &&
    html`
      <${Pager}
        range=${say("page.rows", range)}
        onBack=${offset > 0 && (() => change({ offset: Math.max(0, offset - SIZE) }))}
        onNext=${offset + SIZE < matched && (() => change({ offset: offset + SIZE }))}
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
