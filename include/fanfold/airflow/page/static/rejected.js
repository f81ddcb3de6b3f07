// Rejected rows: by column and rule with a page of rows of each, and those of one item.

import { html } from "./vendor/preact.js";
import { count, percent } from "./format.js";
import { useHere } from "./here.js";
import { Download, Examples, GroupTools, isOpen, Lines, NAME_LENGTH } from "./lines.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";
import { Clamped, ItemLink } from "./values.js";

/** `place`: what the address names. */
export function RejectedRows({ groups, final, place }) {
  const label = say("rejected.title");
  if (groups.length === 0) return null;
  const titles = [
    say("col.column"),
    say("col.rule"),
    numeric(say("col.rows")),
    say("col.examples"),
    final && say("col.more"),
  ];
  return html`
    <section>
      <div class="above">
        <h2>${label}</h2>
        ${final && html`<${Download} path="rejected.jsonl" file="rejected.jsonl" />`}
      </div>
      <${Table} label=${label} titles=${titles} look="groups">
        ${groups.map(
          (group) => html`
            <${GroupRow}
              key=${group.id}
              group=${group}
              final=${final}
              place=${place}
            />
          `,
        )}
      <//>
    </section>
  `;
}

function GroupRow({ group, final, place }) {
  const { rows, rejected, merge } = useHere().summary;
  const open = final && isOpen(place, "rows", group);
  const ofRun = merge?.run_rows ?? rows;
  const name = nameOf(group).slice(0, NAME_LENGTH);
  return html`
    <tr>
      <td><${Column} name=${group.column} /></td>
      <td class="reason"><span class="wrap" dir="auto">${group.rule ?? say("reason.none")}</span></td>
      <td class="number">
        ${count(group.count)}<small>${percent(group.count / (ofRun + rejected))}</small>
      </td>
      <td><${Examples} examples=${group.examples} /></td>
      ${final &&
      html`
        <${GroupTools}
          file="rejected.jsonl"
          of="rows"
          group=${group}
          name=${name}
          open=${open}
          only=${place.only}
        />
      `}
    </tr>
    ${open &&
    html`
      <tr class="inner">
        <td colspan="5">
          <${Lines}
            path="rejected"
            of="rows"
            group=${group}
            label=${say("rejected.of", { reason: name })}
            titles=${[say("col.key"), ...titlesOf()]}
            row=${(row) => html`<tr><td><${ItemLink} itemKey=${row.item} /></td>${cells(row)}</tr>`}
          />
        </td>
      </tr>
    `}
  `;
}

/** The column; a transform that raises an exception has none. */
function Column({ name }) {
  return name ? html`<bdi class="wrap">${name}</bdi>` : html`<span class="quiet">–</span>`;
}

function nameOf({ column, rule }) {
  if (column === null) return say("reason.none");
  return column ? say("failures.rule", { column, rule: rule ?? "" }) : (rule ?? "");
}

const titlesOf = () => [
  numeric(say("col.row")), say("col.column"), say("col.value"), say("col.rule"),
];

const cells = ({ row, column, value, rule }) => html`
  <td class="number">${count(row)}</td>
  <td><${Column} name=${column} /></td>
  <td><${Clamped} value=${value} /></td>
  <td class="reason"><span class="wrap" dir="auto">${rule}</span></td>
`;

/** The rejected rows of one item; `rejected`: their number, and the first ones. */
export function RejectedOfItem({ rejected }) {
  const label = say("rejected.title_item", { n: rejected.count });
  if (rejected.count === 0) return null;
  return html`
    <section>
      <h3>${label}</h3>
      <${Table} label=${label} titles=${titlesOf()} tall>
        ${rejected.first.map((row, index) => html`<tr key=${index}>${cells(row)}</tr>`)}
      <//>
      <${First} some=${rejected} />
    </section>
  `;
}

/** How many of a list are shown, if not all. */
export function First({ some }) {
  const shown = some.first.length;
  if (shown === some.count) return null;
  return html`<p class="quiet">${say("list.first", { shown, n: some.count })}</p>`;
}
