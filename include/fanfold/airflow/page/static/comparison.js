// Comparison with the previous run: rows new, removed and changed.

import { html } from "./vendor/preact.js";
import { AirflowLink, itemsPath } from "./airflow.js";
import { count, difference, Moment } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { First } from "./rejected.js";
import { SortHead, useSorted } from "./sorting.js";
import { Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, ItemLink } from "./values.js";

export function Comparison({ shown }) {
  const { dag, home, stamp } = useHere();
  const polled = usePolled(`${home}/comparison`, { paused: !shown, stamp });
  const compared = polled.data;
  if (!compared) return html`<${Absent} ...${polled} />`;
  const { changed, unchanged, key } = compared;
  const numbers = {
    both: changed + unchanged, new: compared.new.count, gone: compared.gone.count, changed,
  };
  return html`
    <${Trouble} ...${polled} />
    <h2>${say("compare.title")}</h2>
    <p class="wrap">
      ${say("compare.with")}${" "}
      <${AirflowLink} path=${itemsPath(dag, compared.previous)}><bdi>${compared.previous}</bdi><//>
      ${" · "}<${Moment} iso=${compared.previous_date} toMinute />
    </p>
    <${Notes} compared=${compared} />
    <dl class="tiles">
      ${Object.entries(numbers).map(
        ([name, number]) => html`
          <div class="tile" key=${name}>
            <dt>${say(`compare.${name}`)}</dt>
            <dd>${count(number)}</dd>
          </div>
        `,
      )}
    </dl>
    <${Changes} compared=${compared} />
    <div class="pair">
      <${Side} name="new" columns=${key} side=${compared.new} linked />
      <${Side} name="gone" columns=${key} side=${compared.gone} />
    </div>
  `;
}

/** What the numbers do not say: repeated keys, and columns that only one run has. */
function Notes({ compared }) {
  const lists = ["added", "removed", "retyped"].filter((name) => compared[name].length > 0);
  return html`
    ${compared.repeated && html`<p class="quiet">${say("compare.repeated")}</p>`}
    ${lists.map((name) => {
      const columns = compared[name].join(say("list.comma"));
      return html`<p key=${name} class="quiet wrap">${say(`compare.columns_${name}`, { columns })}</p>`;
    })}
  `;
}

const change = ({ before, after }) => (before === null || after === null ? null : after - before);

function valueOf(row, column) {
  if (typeof column === "number") return row.key[column];
  return column === "difference" ? change(row) : row[column];
}

function Changes({ compared }) {
  const { changes, changed, measure, key } = compared;
  const { sorted, sort } = useSorted(changes, valueOf);
  const label = measure ? say("compare.by_measure", { measure }) : say("compare.changes");
  if (changes.length === 0) {
    return html`<h3>${label}</h3><p class="absent">${say("compare.none_changed")}</p>`;
  }
  const named = changes.some((row) => row.label !== null);
  const head = (column, title, numeric = false) => html`
    <${SortHead} column=${column} sort=${sort} numeric=${numeric}>${title}<//>
  `;
  const titles = [
    ...key.map((name, index) => head(index, html`<bdi>${name}</bdi>`)),
    named && head("label", say("col.name")),
    ...["before", "after", "difference"].map((name) => measure !== "" && head(name, say(`col.${name}`), true)),
    say("col.columns"),
  ];
  const number = (value) => html`<td class="number">${value}</td>`;
  return html`
    <h3>${label}</h3>
    <${Table} label=${label} titles=${titles} look="zebra">
      ${sorted.map(
        (row) => html`
          <tr>
            <${Key} row=${row} columns=${key} linked />
            ${named && html`<td><${Clamped} value=${row.label} /></td>`}
            ${measure && [count(row.before), count(row.after), difference(change(row))].map(number)}
            <td class="wrap">${row.columns.join(say("list.comma"))}</td>
          </tr>
        `,
      )}
    <//>
    <${First} some=${{ first: changes, count: changed }} />
  `;
}

/** The cells of a row's key; the item's key is a link if the row is in this run. */
function Key({ row, columns, linked }) {
  const { summary } = useHere();
  return row.key.map((value, index) => {
    const isItem = linked && value !== null && columns[index] === summary.key_column;
    return html`
      <td>${isItem ? html`<${ItemLink} itemKey=${value} />` : html`<${Clamped} value=${value} />`}</td>
    `;
  });
}

/** Rows of one run only; removed rows may have no item in this run. */
function Side({ name, columns, side, linked = false }) {
  const label = say(`compare.${name}`);
  const named = side.examples.some((row) => row.label !== null);
  const keys = columns.map((column) => html`<th scope="col"><bdi>${column}</bdi></th>`);
  return html`
    <section>
      <h3>${label}</h3>
      ${side.examples.length === 0
        ? html`<p class="absent">${say("compare.none")}</p>`
        : html`
            <${Table} label=${label} titles=${[...keys, named && say("col.name")]} look="zebra">
              ${side.examples.map(
                (row) => html`
                  <tr>
                    <${Key} row=${row} columns=${columns} linked=${linked} />
                    ${named && html`<td><${Clamped} value=${row.label} /></td>`}
                  </tr>
                `,
              )}
            <//>
          `}
      <${First} some=${{ first: side.examples, count: side.count }} />
    </section>
  `;
}
