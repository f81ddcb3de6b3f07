// Tables that are sorted by a click on a column header.

import { html, useMemo, useState } from "./vendor/preact.js";
import { Sign } from "./signs.js";
import { language } from "./text.js";

const collator = new Intl.Collator(language, { numeric: true });

function compare(a, b) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return noA - noB;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

/**
 * Rows in the selected order; initially in their own order.
 *
 * `valueOf(row, column)` returns the sort key; rows without one come last in both directions.
 * Returns `sorted`, and `sort` for `<SortHead>`.
 */
export function useSorted(rows, valueOf) {
  const [order, setOrder] = useState(null);
  const sorted = useMemo(() => {
    if (!order) return rows;
    const sign = order.descending ? -1 : 1;
    return [...rows].sort((one, other) => {
      const [a, b] = [valueOf(one, order.column), valueOf(other, order.column)];
      const absent = [a, b].some((value) => value === null || value === undefined);
      return absent ? compare(a, b) : sign * compare(a, b);
    });
  }, [rows, order]);
  const press = (column) =>
    setOrder((now) => ({ column, descending: now?.column === column && !now.descending }));
  return { sorted, sort: { order, press } };
}

/** A column header with a sort button. */
export function SortHead({ column, sort, children, numeric = false }) {
  const here = sort.order?.column === column;
  const kind = numeric ? "number" : undefined;
  const direction = sort.order?.descending ? "descending" : "ascending";
  return html`
    <th scope="col" class=${kind} aria-sort=${here ? direction : undefined}>
      <button type="button" class="sorter" onClick=${() => sort.press(column)}>
        <span class="wrap">${children}</span><${Sign} name=${here ? direction : "sorted"} />
      </button>
    </th>
  `;
}
