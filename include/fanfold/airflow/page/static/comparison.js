// Comparison with the previous run: users new, removed, and with the largest changes.

import { html } from "./vendor/preact.js";
import { AirflowLink, itemsPath } from "./airflow.js";
import { count, difference, Moment } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { SortHead, useSorted } from "./sorting.js";
import { Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, ItemLink } from "./values.js";

export function Comparison({ shown }) {
  const { dag, home, stamp, summary } = useHere();
  const polled = usePolled(`${home}/comparison`, { paused: !shown, stamp });
  const compared = polled.data;
  if (!compared) return html`<${Absent} ...${polled} />`;
  const linked = summary.key_column === "user_id";
  const numbers = {
    both: compared.both,
    new: compared.new.count,
    gone: compared.gone.count,
    changed: compared.changed,
  };
  return html`
    <${Trouble} ...${polled} />
    <h2>${say("compare.title")}</h2>
    <p class="wrap">
      ${say("compare.with")}${" "}
      <${AirflowLink} path=${itemsPath(dag, compared.previous)}><bdi>${compared.previous}</bdi><//>
      ${" · "}<${Moment} iso=${compared.previous_date} toMinute />
    </p>
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
    <${MostChanged} changes=${compared.most_changed} linked=${linked} />
    <div class="pair">
      <${Side} name="new" side=${compared.new} linked=${linked} />
      <${Side} name="gone" side=${compared.gone} />
    </div>
  `;
}

function valueOf(change, column) {
  return column === "difference" ? change.after - change.before : change[column];
}

function MostChanged({ changes, linked }) {
  const { sorted, sort } = useSorted(changes, valueOf);
  const label = say("compare.most_changed");
  if (changes.length === 0) {
    return html`<h3>${label}</h3><p class="absent">${say("compare.none_changed")}</p>`;
  }
  const head = (column, numeric) => html`
    <${SortHead} column=${column} sort=${sort} numeric=${numeric}>${say(`col.${column}`)}<//>
  `;
  const titles = [
    head("user_id", false), head("name", false), head("before", true), head("after", true),
    head("difference", true),
  ];
  return html`
    <h3>${label}</h3>
    <${Table} label=${label} titles=${titles} look="zebra">
      ${sorted.map(
        (change) => html`
          <tr key=${change.user_id}>
            <td><${User} id=${change.user_id} linked=${linked} /></td>
            <td><${Clamped} value=${change.name} /></td>
            <td class="number">${count(change.before)}</td>
            <td class="number">${count(change.after)}</td>
            <td class="number">${difference(change.after - change.before)}</td>
          </tr>
        `,
      )}
    <//>
  `;
}

/** An id; a link to its item if it is the item's key and in this run. */
function User({ id, linked }) {
  return linked ? html`<${ItemLink} itemKey=${id} />` : html`<bdi class="clamp">${id}</bdi>`;
}

/** Users of one run only; removed users have no item view in this run. */
function Side({ name, side, linked = false }) {
  const label = say(`compare.${name}`);
  const titles = [say("col.user_id"), say("col.name")];
  return html`
    <section>
      <h3>${label}</h3>
      ${side.examples.length === 0
        ? html`<p class="absent">${say("compare.nobody")}</p>`
        : html`
            <${Table} label=${label} titles=${titles} look="zebra">
              ${side.examples.map(
                ({ key, value }) => html`
                  <tr key=${key}>
                    <td><${User} id=${key} linked=${linked} /></td>
                    <td><${Clamped} value=${value} /></td>
                  </tr>
                `,
              )}
            <//>
          `}
      ${side.count > side.examples.length &&
      html`
        <p class="quiet">
          ${say("compare.first", { shown: side.examples.length, n: side.count })}
        </p>
      `}
    </section>
  `;
}
