// The columns of a table with their values, and how to read the table elsewhere.

import { html, useState } from "./vendor/preact.js";
import { query } from "./api.js";
import { about, count, percent } from "./format.js";
import { useHere } from "./here.js";
import { Absent } from "./notices.js";
import { usePolled } from "./polling.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";
import { Clamped } from "./values.js";

const PATIENCE = 60_000; // milliseconds
const [WIDTH, HEIGHT] = [160, 28]; // of a distribution, in pixels

/** `columns`: as the rows came with; the values are computed when they are opened. */
export function Columns({ table, columns, rows }) {
  const { home, stamp } = useHere();
  const [open, setOpen] = useState(false);
  const path = open ? `${home}/columns${query({ table })}` : null;
  const polled = usePolled(path, { stamp, patience: PATIENCE });
  const label = say("dataset.columns", { n: columns.length });
  const numbers = ["nulls", "distinct"].map((name) => numeric(say(`col.${name}`)));
  const edges = ["smallest", "largest", "mean", "median"].map((name) => numeric(say(`col.${name}`)));
  const titles = [
    say("col.column"), say("col.type"), ...numbers, ...edges, say("col.distribution"),
  ];
  return html`
    <details onToggle=${(event) => setOpen(event.target.open)}>
      <summary>${label}</summary>
      ${open && !polled.data && html`<${Absent} ...${polled} />`}
      ${polled.data &&
      html`
        <${Table} label=${label} titles=${titles} look="zebra profile">
          ${polled.data.columns.map((column) => html`<${Row} key=${column.name} column=${column} rows=${rows} />`)}
        <//>
      `}
    </details>
  `;
}

function Row({ column, rows }) {
  const { name, type, nulls, null_share: share, distinct, estimated } = column;
  return html`
    <tr>
      <th scope="row"><bdi>${name}</bdi></th>
      <td><code>${type}</code></td>
      <td class="number">
        ${count(nulls)}${nulls > 0 && share !== null && html` <small>${percent(share)}</small>`}
      </td>
      <td class="number">${estimated && "≈ "}${count(distinct)}</td>
      <td class="number"><${Clamped} value=${column.smallest} /></td>
      <td class="number"><${Clamped} value=${column.largest} /></td>
      <td class="number">${column.mean === null ? "" : about(column.mean)}</td>
      <td class="number">${column.median === null ? "" : about(column.median)}</td>
      <td>
        ${column.distribution && html`<${Distribution} ...${column.distribution} />`}
        ${column.frequent.length > 0 && html`<${Frequent} values=${column.frequent} rows=${rows} />`}
      </td>
    </tr>
  `;
}

/** A bar a bin; what it counts is in its tooltip. */
function Distribution({ edges, counts }) {
  const most = Math.max(...counts);
  const width = WIDTH / counts.length;
  const text = (edge) => (typeof edge === "number" ? about(edge) : edge.slice(0, 10));
  const range = (place) => `${text(edges[place])} – ${text(edges[place + 1])}`;
  const peak = counts.indexOf(most);
  return html`
    <svg
      class="distribution"
      width=${WIDTH}
      height=${HEIGHT}
      role="img"
      aria-label=${say("dataset.peak", { range: range(peak), n: most })}
    >
      ${counts.map((number, place) => {
        const height = number ? Math.max(1, (HEIGHT * number) / most) : 0;
        return html`
          <g key=${place}>
            <rect x=${place * width} y=${HEIGHT - height} width=${width - 1} height=${height} />
            <rect class="clear" x=${place * width} width=${width} height=${HEIGHT}>
              <title>${range(place)}: ${count(number)}</title>
            </rect>
          </g>
        `;
      })}
    </svg>
  `;
}

function Frequent({ values, rows }) {
  return html`
    <ul class="plain frequent">
      ${values.map(
        ({ value, count: n }, place) => html`
          <li key=${place}><${Clamped} value=${value} /> <span class="quiet">${percent(n / rows)}</span></li>
        `,
      )}
    </ul>
  `;
}
