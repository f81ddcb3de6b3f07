// Filters of the rows of a table, over all rows.

import { html, useState } from "./vendor/preact.js";
import { say } from "./text.js";
import { Choice } from "./values.js";

const OPERATORS = ["contains", "=", "!=", "<", "<=", ">", ">=", "null", "not null"];
const ALONE = ["null", "not null"]; // operators without a value

const word = (operator) => (/^[a-z]/.test(operator) ? say(`filter.${operator.replace(" ", "_")}`) : operator);

/** A filter as the API reads it. */
export const filterText = ({ column, operator, value }) =>
  `${operator}:${encodeURIComponent(column)}:${value}`;

/** `filters`: of `column` (empty: any), `operator` and `value`; `found`: what they found, in words. */
export function Filters({ columns, filters, found, onChange }) {
  const [column, setColumn] = useState("");
  const [chosen, setOperator] = useState("contains");
  const [value, setValue] = useState("");
  const operator = column ? chosen : "contains";
  const alone = ALONE.includes(operator);
  const add = (event) => {
    event.preventDefault();
    if (!alone && value.trim() === "") return;
    onChange([...filters, { column, operator, value: alone ? "" : value.trim() }]);
    setValue("");
  };
  const names = [["", say("filter.any")], ...columns.map(({ name }) => [name, name])];
  return html`
    <form class="filter" onSubmit=${add}>
      <${Choice} label=${say("filter.label")} value=${column} options=${names} onChange=${setColumn} />
      ${column &&
      html`
        <${Choice}
          label=${say("filter.operator")}
          unseen
          value=${operator}
          options=${OPERATORS.map((each) => [each, word(each)])}
          onChange=${setOperator}
        />
      `}
      ${!alone &&
      html`
        <input
          type="text"
          dir="auto"
          aria-label=${say("filter.value")}
          placeholder=${column ? "" : say("filter.contains")}
          value=${value}
          onInput=${(event) => setValue(event.target.value)}
        />
      `}
      <button type="submit" class="button">${say("filter.add")}</button>
      <span role="status">${filters.length > 0 && found}</span>
    </form>
    ${filters.length > 0 &&
    html`
      <ul class="chips" aria-label=${say("filter.label")}>
        ${filters.map((each, place) => {
          const text = `${each.column || say("filter.any")} ${word(each.operator)} ${each.value}`;
          return html`
            <li key=${place}>
              <bdi>${text}</bdi>
              <button
                type="button"
                class="textual"
                aria-label=${say("about", { what: say("filter.remove"), which: text })}
                onClick=${() => onChange(filters.filter((_, other) => other !== place))}
              >
                ×
              </button>
            </li>
          `;
        })}
      </ul>
    `}
  `;
}
