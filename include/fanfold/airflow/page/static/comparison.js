// Comparison with another run of the DAG: rows new, gone and changed, and how a column changed.

import { html, useState } from "./vendor/preact.js";
import { AirflowLink, itemsPath } from "./airflow.js";
import { address, query } from "./api.js";
import { count, difference, momentText, signedPercent } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { openTab } from "./place.js";
import { usePolled } from "./polling.js";
import { First } from "./rejected.js";
import { Sign } from "./signs.js";
import { SortHead, useSorted } from "./sorting.js";
import { OUTCOMES, Outcome } from "./states.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, Choice, ItemLink } from "./values.js";

const PATIENCE = 60_000; // milliseconds

/** `detail` of the address: the other run. */
export function Comparison({ shown, detail }) {
  const { dag, home, stamp } = useHere();
  const [column, choose] = useState(null);
  const others = usePolled(`${home}/runs`, { paused: !shown, stamp });
  const wanted = detail || others.data?.default;
  const params = query({ with: wanted, column });
  const polled = usePolled(wanted ? `${home}/comparison${params}` : null, {
    paused: !shown, stamp, keep: true, patience: PATIENCE,
  });
  if (!others.data) return html`<${Absent} ...${others} />`;
  const { runs } = others.data;
  if (runs.length === 0) return html`<p class="absent">${say("problem.no_comparison")}</p>`;
  const compared = polled.data;
  const names = runs.map((each) => [
    each.run_id,
    say("compare.run", { date: momentText(each.logical_date), run: each.run_id, n: each.rows }),
  ]);
  if (!wanted) names.unshift(["", say("compare.none_chosen")]);
  const columns = compared?.columns ?? [];
  return html`
    <div class="above">
      <h2>${say("compare.title")}</h2>
      ${compared &&
      html`
        <a class="button" href=${address(`${home}/comparison.csv${params}`)} download>
          <${Sign} name="down" />${say("compare.download")}
        </a>
      `}
    </div>
    <div class="filter">
      <${Choice}
        label=${say("compare.with")}
        value=${wanted ?? ""}
        options=${names}
        onChange=${(to) => openTab("compare", to)}
      />
      ${wanted && html`<${AirflowLink} path=${itemsPath(dag, wanted)}>${say("compare.open")}<//>`}
      ${columns.length > 0 &&
      html`
        <${Choice}
          label=${say("col.column")}
          value=${compared.column}
          options=${columns.map((name) => [name, name])}
          onChange=${choose}
        />
      `}
    </div>
    ${wanted && (compared ? html`<${Trouble} ...${polled} />` : html`<${Absent} ...${polled} />`)}
    ${compared && html`<${Differences} compared=${compared} />`}
  `;
}

function Differences({ compared }) {
  const { changed, unchanged, key, histogram } = compared;
  const numbers = {
    both: changed + unchanged, new: compared.new.count, gone: compared.gone.count, changed,
  };
  return html`
    <${Notes} compared=${compared} />
    <dl class="tiles">
      ${Object.entries(numbers).map(
        ([name, number]) => html`
          <div class="tile" key=${name}>
            <dt>${say(`compare.${name}`)}</dt>
            <dd>
              ${count(number)}${" "}
              ${name in compared && html`<${Outcomes} name=${name} outcomes=${compared[name].outcomes} />`}
            </dd>
          </div>
        `,
      )}
    </dl>
    ${histogram && html`<${Histogram} column=${compared.column} histogram=${histogram} />`}
    <${Changes} compared=${compared} />
    <div class="pair">
      <${Side} name="new" columns=${key} side=${compared.new} linked />
      <${Side} name="gone" columns=${key} side=${compared.gone} />
    </div>
  `;
}

/** Rows of one run by what the other run has of their item. */
function Outcomes({ name, outcomes }) {
  const known = ["unlisted", ...OUTCOMES].filter((outcome) => outcomes?.[outcome]);
  return known.map(
    (outcome) => html`
      <small key=${outcome} class="part">
        ${count(outcomes[outcome])}${" "}<${Elsewhere} side=${name} outcome=${outcome} />
      </small>
    `,
  );
}

/** What the other run has of an item: its outcome, or nothing. */
function Elsewhere({ side, outcome }) {
  if (outcome === null) return null;
  if (OUTCOMES.includes(outcome) && outcome !== "ok") return html`<${Outcome} status=${outcome} />`;
  return html`<span class="quiet">${say(`compare.${side}_${outcome}`)}</span>`;
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

/** The rows whose value changed, by how much; rows from 0 or null have no share. */
function Histogram({ column, histogram: { edges, counts, others } }) {
  const most = Math.max(...counts, others, 1);
  const label = say("compare.histogram", { column });
  const range = (place) => {
    if (place === 0) return say("compare.below", { to: signedPercent(edges[0]) });
    if (place === edges.length) return say("compare.above", { from: signedPercent(edges[place - 1]) });
    const [from, to] = [edges[place - 1], edges[place]].map(signedPercent);
    return say("compare.between", { from, to });
  };
  const lines = counts.map((number, place) => [range(place), number]);
  if (others) lines.push([say("compare.no_share"), others]);
  if (lines.every(([, number]) => number === 0)) return null;
  return html`
    <details open>
      <summary>${label}</summary>
      <${Table} label=${label} titles=${[say("compare.change"), numeric(say("col.rows")), say("col.distribution")]} look="bars">
        ${lines.map(
          ([name, number]) => html`
            <tr key=${name}>
              <th scope="row">${name}</th>
              <td class="number">${count(number)}</td>
              <td><${Bar} share=${number / most} /></td>
            </tr>
          `,
        )}
      <//>
    </details>
  `;
}

const Bar = ({ share }) => html`
  <svg class="hbar" aria-hidden="true"><rect width="${100 * share}%" height="100%" /></svg>
`;

const change = ({ before, after }) => (before === null || after === null ? null : after - before);
const share = ({ before, after }) => (before ? change({ before, after }) / Math.abs(before) : null);

function valueOf(row, column) {
  if (typeof column === "number") return row.key[column];
  return { difference: change, share }[column]?.(row) ?? row[column] ?? null;
}

function Changes({ compared }) {
  const { changes, changed, column, key } = compared;
  const { sorted, sort } = useSorted(changes, valueOf);
  const label = column ? say("compare.by_measure", { measure: column }) : say("compare.changes");
  if (changes.length === 0) {
    return html`<h3>${label}</h3><p class="absent">${say("compare.none_changed")}</p>`;
  }
  const named = changes.some((row) => row.label !== null);
  const head = (name, title, isNumber = false) => html`
    <${SortHead} column=${name} sort=${sort} numeric=${isNumber}>${title}<//>
  `;
  const titles = [
    ...key.map((name, index) => head(index, html`<bdi>${name}</bdi>`)),
    named && head("label", say("col.name")),
    ...["before", "after", "difference", "share"].map(
      (name) => column !== "" && head(name, say(`col.${name}`), true),
    ),
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
            ${column &&
            [count(row.before), count(row.after), difference(change(row)), signedPercent(share(row))].map(number)}
            <td class="wrap">${row.columns.join(say("list.comma"))}</td>
          </tr>
        `,
      )}
    <//>
    <${First} some=${{ first: changes, count: changed }} />
  `;
}

/** The cells of a row's key; the item's key is a link if the item is in this run. */
function Key({ row, columns, linked }) {
  const { summary } = useHere();
  return row.key.map((value, index) => {
    const isItem = linked && value !== null && columns[index] === summary.key_column;
    return html`
      <td>${isItem ? html`<${ItemLink} itemKey=${value} />` : html`<${Clamped} value=${value} />`}</td>
    `;
  });
}

/** Rows of one run only; those that are gone may have no item in this run. */
function Side({ name, columns, side, linked = false }) {
  const label = say(`compare.${name}`);
  const named = side.examples.some((row) => row.label !== null);
  const told = side.examples.some((row) => row.outcome !== null);
  const keys = columns.map((column) => html`<th scope="col"><bdi>${column}</bdi></th>`);
  const titles = [...keys, named && say("col.name"), told && say(`compare.${name}_why`)];
  return html`
    <section>
      <h3>${label}</h3>
      ${side.examples.length === 0
        ? html`<p class="absent">${say("compare.none")}</p>`
        : html`
            <${Table} label=${label} titles=${titles} look="zebra">
              ${side.examples.map(
                (row) => html`
                  <tr>
                    <${Key} row=${row} columns=${columns} linked=${linked || ![null, "unlisted"].includes(row.outcome)} />
                    ${named && html`<td><${Clamped} value=${row.label} /></td>`}
                    ${told && html`<td><${Elsewhere} side=${name} outcome=${row.outcome} /></td>`}
                  </tr>
                `,
              )}
            <//>
          `}
      <${First} some=${{ first: side.examples, count: side.count }} />
    </section>
  `;
}
