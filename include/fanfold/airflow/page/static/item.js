// One item: its outcomes with reasons, its records, rows and rejected rows.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { AirflowLink, itemsPath } from "./airflow.js";
import { query } from "./api.js";
import { bytes, count, difference, gbSeconds, Moment, NONE } from "./format.js";
import { BatchLink } from "./batchlink.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { RedriveButton } from "./redrive.js";
import { First, RejectedOfItem } from "./rejected.js";
import { Outcome } from "./states.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";
import { capital, Clamped, Fact, Reason, valueText, Whole } from "./values.js";

const PAUSE = 4_000; // milliseconds

/** `tab`: the tab that the back link opens. */
export function ItemView({ itemKey, tab }) {
  const { home, active, stamp, summary } = useHere();
  const every = (item) => (active && (!item || item.status === "waiting") ? PAUSE : null);
  const polled = usePolled(`${home}/items${query({ key: itemKey })}`, { every, stamp });
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []);
  return html`
    <section class="item" aria-labelledby="item-title">
      <p><a href="#${tab}">← ${say("item.back", { tab: say(`tab.${tab}`) })}</a></p>
      <h2 id="item-title" tabindex="-1" class="wrap" ref=${heading}>
        ${capital(summary.noun ?? say("item.noun"))} <bdi>${itemKey}</bdi>
      </h2>
      ${polled.data
        ? html`<${Trouble} ...${polled} /><${Known} item=${polled.data} />`
        : html`<${Absent} ...${polled} />`}
    </section>
  `;
}

function Known({ item }) {
  return html`
    <div class="title">
      <${Outcome} status=${item.status} />
      <${BatchLink} batch=${item.batch} status=${item.status} />
      <span class="quiet">${say("item.position", { n: item.position + 1 })}</span>
      <${RedriveButton} request=${{ keys: [item.key] }} small>${say("item.again")}<//>
    </div>
    ${item.latest
      ? html`<${Decision} decision=${item.latest} />`
      : html`<p class="absent">${say("item.waiting")}</p>`}
    ${item.file && html`<${File} file=${item.file} />`}
    ${item.earlier.length > 0 && html`<${Earlier} decisions=${item.earlier} />`}
    <div class=${item.rows.count + item.rejected.count > 1 ? undefined : "pair"}>
      <${Rows} rows=${item.rows} />
      <${RejectedOfItem} rejected=${item.rejected} />
      ${!item.file && html`<${Records} records=${item.records} />`}
    </div>
    <${OtherRuns} itemKey=${item.key} />
  `;
}

function Decision({ decision }) {
  const { reason, attempts, gb_seconds: billed, at, column, value, rule } = decision;
  return html`
    <dl class="facts">
      ${reason && html`<${LongFact} name="reason" text=${reason} />`}
      ${column !== null && html`<${Fact} name="col.column"><bdi>${column}</bdi><//>`}
      ${value !== null && html`<${LongFact} name="value" text=${value} />`}
      ${rule !== null && html`<${Fact} name="col.rule"><bdi>${rule}</bdi><//>`}
      <${Fact} name="col.attempts">${count(attempts)}<//>
      ${billed !== null && html`<${Fact} name="figure.billed">${gbSeconds(billed)}<//>`}
      <${Fact} name="col.decided"><${Moment} iso=${at} /><//>
    </dl>
  `;
}

/** The file: as downloaded last, or else as listed. */
function File({ file: { size, etag, modified } }) {
  return html`
    <dl class="facts">
      <${Fact} name="item.size">${size === null ? NONE : bytes(size)}<//>
      <${Fact} name="item.etag"><bdi>${etag ?? NONE}</bdi><//>
      <${Fact} name="item.modified"><${Moment} iso=${modified} /><//>
    </dl>
  `;
}

function LongFact({ name, text }) {
  const label = say(`col.${name}`);
  return html`
    <div class="wide"><dt>${label}</dt><dd><${Whole} text=${text} label=${label} /></dd></div>
  `;
}

function Earlier({ decisions }) {
  const label = say("item.earlier");
  const texts = [say("col.decided"), say("col.outcome"), say("col.reason")];
  const titles = [...texts, numeric(say("col.attempts"))];
  return html`
    <h3>${label}</h3>
    <${Table} label=${label} titles=${titles}>
      ${decisions.map(
        (each) => html`
          <tr>
            <td><${Moment} iso=${each.at} /></td>
            <td><${Outcome} status=${each.status} /></td>
            <td class="reason">${each.status === "ok" ? NONE : html`<${Reason} text=${each.reason} />`}</td>
            <td class="number">${count(each.attempts)}</td>
          </tr>
        `,
      )}
    <//>
  `;
}

/** The item in the runs of the DAG, the newest first; without other runs nothing. */
function OtherRuns({ itemKey }) {
  const { dag, home, run, stamp } = useHere();
  const polled = usePolled(`${home}/history${query({ key: itemKey })}`, { stamp });
  if (!polled.data) return null;
  const { measure, runs } = polled.data;
  if (!runs.some((each) => each.run_id !== run)) return null;
  const label = say("item.runs");
  const number = (value) => (value === null ? null : Number(valueText(value)));
  const measured = runs.some((each) => each.measure !== null);
  const numbers = measured ? [numeric(html`<bdi>${measure}</bdi>`), numeric(say("col.difference"))] : [];
  const titles = [say("col.run"), say("col.outcome"), numeric(say("col.rows")), ...numbers];
  return html`
    <section>
      <h3>${label}</h3>
      <${Table} label=${label} titles=${titles} look="zebra" tall>
        ${runs.map((each, place) => {
          const before = runs.slice(place + 1).find((other) => other.measure !== null);
          const value = number(each.measure);
          const since = value === null || !before ? null : value - number(before.measure);
          return html`
            <tr key=${each.run_id}>
              <td>
                <${AirflowLink} path=${itemsPath(dag, each.run_id)} title=${each.run_id}>
                  <${Moment} iso=${each.logical_date} toMinute />
                <//>
                ${each.run_id === run && html` <small class="quiet">${say("item.this_run")}</small>`}
              </td>
              <td>
                ${each.status
                  ? html`<${Outcome} status=${each.status} />`
                  : html`<span class="quiet">${say("item.unlisted")}</span>`}
              </td>
              <td class="number">${count(each.rows)}</td>
              ${measured && html`<td class="number">${count(value)}</td><td class="number">${difference(since)}</td>`}
            </tr>
          `;
        })}
      <//>
    </section>
  `;
}

function Rows({ rows }) {
  const label = say("item.rows", { n: rows.count });
  const several = rows.count > 1;
  return html`
    <section>
      <h3>${label}</h3>
      ${rows.count === 0 && html`<p class="absent">${say("item.no_rows")}</p>`}
      ${rows.count === 1 && html`<${OneRow} label=${label} row=${rows.first[0]} />`}
      ${several && html`<${RowTable} label=${label} rows=${rows.first} /><${First} some=${rows} />`}
    </section>
  `;
}

function OneRow({ label, row }) {
  return html`
    <${Table} label=${label} titles=${[say("col.column"), say("col.value")]} tall>
      ${Object.entries(row).map(
        ([column, value]) => html`
          <tr key=${column}>
            <th scope="row"><bdi>${column}</bdi></th>
            <td class="wrap value" dir="auto">${valueText(value)}</td>
          </tr>
        `,
      )}
    <//>
  `;
}

// A decimal is a text, which keeps its digits.
const DECIMAL = /^-?\d+\.\d+$/;

function RowTable({ label, rows }) {
  const columns = Object.keys(rows[0]);
  const isNumber = (column) =>
    rows.some((row) => typeof row[column] === "number" || DECIMAL.test(row[column]));
  const looks = columns.map((column) => (isNumber(column) ? "number" : undefined));
  const titles = columns.map(
    (column, index) => html`<th scope="col" class=${looks[index]}><bdi>${column}</bdi></th>`,
  );
  return html`
    <${Table} label=${label} titles=${titles} look="zebra rows" tall>
      ${rows.map(
        (row, place) => html`
          <tr key=${place}>
            ${columns.map(
              (column, index) => html`<td class=${looks[index]}><${Clamped} value=${row[column]} /></td>`,
            )}
          </tr>
        `,
      )}
    <//>
  `;
}

// Bidirectional control characters: a name could rearrange the record.
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The record as formatted JSON, with invisible characters as escapes. */
function recordText(record) {
  return JSON.stringify(record, null, 2).replace(
    TURNING,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function Records({ records }) {
  const label = say("item.records", { n: records.count });
  return html`
    <section>
      <h3>${label}</h3>
      ${records.count === 0
        ? html`<p class="absent">${say("item.no_records")}</p>`
        : html`
            <pre class="tall" role="region" tabindex="0" aria-label=${label}>
              ${records.first.map(recordText).join("\n")}</pre
            >
            <${First} some=${records} />
          `}
    </section>
  `;
}
