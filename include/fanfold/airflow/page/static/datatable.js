// A page of the rows of a table, which the server sorts.

import { html } from "./vendor/preact.js";
import { useHere } from "./here.js";
import { itemHref } from "./place.js";
import { SortHead } from "./sorting.js";
import { Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, valueText } from "./values.js";

const NUMERIC = /^(u?int|float|double|decimal)/;

/** Whether a column holds numbers; ids are text. */
const numeric = ({ name, type }) => NUMERIC.test(type) && !name.endsWith("id");

/** `sort`: as of `<SortHead>`, by the names of the columns. */
export function DataTable({ columns, page, sort }) {
  const { summary } = useHere();
  const keyed = columns.findIndex(({ name }) => name === summary.key_column);
  const titles = columns.map(
    (column) => html`
      <${SortHead} key=${column.name} column=${column.name} sort=${sort} numeric=${numeric(column)}>
        <bdi>${column.name}</bdi>
      <//>
    `,
  );
  return html`
    <${Table} label=${say("dataset.rows")} titles=${titles} look="zebra rows" tall>
      ${page.map(
        (row) => html`
          <tr>
            ${row.map(
              (value, index) => html`
                <td key=${index} class=${numeric(columns[index]) ? "number" : undefined}>
                  ${index === keyed && value !== null
                    ? html`<a href=${itemHref(valueText(value))}><${Clamped} value=${value} /></a>`
                    : html`<${Clamped} value=${value} />`}
                </td>
              `,
            )}
          </tr>
        `,
      )}
    <//>
  `;
}
