// A page of the rows of a table; sorting and filtering apply to the rows shown.

import { html, useMemo, useState } from "./vendor/preact.js";
import { useHere } from "./here.js";
import { itemHref } from "./place.js";
import { SortHead, useSorted } from "./sorting.js";
import { Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, valueText } from "./values.js";

const NUMERIC = /^(u?int|float|double|decimal)/;

/** Whether a column holds numbers; ids are text. */
const numeric = ({ name, type }) => NUMERIC.test(type) && !name.endsWith("id");

/** Large integers are objects that hold their digits, decimals are texts. */
function sortable(value, column) {
  if (value === null) return null;
  return numeric(column) ? Number(valueText(value)) : valueText(value);
}

/** `range`: the first row, the last row and the total. */
export function DataTable({ columns, page, range }) {
  const [wanted, setWanted] = useState("");
  const needle = wanted.trim().toLocaleLowerCase();
  const kept = useMemo(() => {
    const fits = (value) => valueText(value).toLocaleLowerCase().includes(needle);
    return needle ? page.filter((row) => row.some(fits)) : page;
  }, [page, needle]);
  const { sorted, sort } = useSorted(kept, (row, column) => sortable(row[column], columns[column]));
  const { summary } = useHere();
  const keyed = columns.findIndex(({ name }) => name === summary.key_column);
  const titles = columns.map(
    (column, index) => html`
      <${SortHead} key=${column.name} column=${index} sort=${sort} numeric=${numeric(column)}>
        <bdi>${column.name}</bdi>
      <//>
    `,
  );
  return html`
    <div class="filter">
      <label for="filter">${say("dataset.filter")}</label>
      <input
        id="filter"
        type="text"
        dir="auto"
        value=${wanted}
        aria-describedby="filter-note"
        onInput=${(event) => setWanted(event.target.value)}
      />
      <span id="filter-note" class="quiet">${say("dataset.note", range)}</span>
      <span role="status">${needle && say("dataset.found", { n: kept.length })}</span>
    </div>
    <${Table} label=${say("dataset.rows")} titles=${titles} look="zebra rows" tall>
      ${sorted.map(
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
