// The items of one group of failures, in pages.

import { html, useState } from "./vendor/preact.js";
import { query } from "./api.js";
import { count, Moment } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { Pager } from "./pager.js";
import { usePolled } from "./polling.js";
import { Head, numeric, unseen } from "./table.js";
import { say } from "./text.js";
import { Clamped, ItemLink, Reason } from "./values.js";

const SIZE = 50; // items a page

/** `selection`: the selected items and groups; null if selection is not possible. */
export function FailedItems({ group, name, selection }) {
  const { home, stamp } = useHere();
  // The start of each visited page: the API only returns the start of the next page.
  const [starts, setStarts] = useState([null]);
  const after = starts[starts.length - 1];
  const address = `${home}/failures/items${query({ group: group.id, after, limit: SIZE })}`;
  const polled = usePolled(address, { stamp, keep: true });
  const page = polled.data;
  if (!page) return html`<${Absent} ...${polled} />`;
  const whole = selection?.groups.has(group.id);
  const before = (starts.length - 1) * SIZE;
  const range = { from: before + 1, to: before + page.items.length, n: group.count };
  const label = say("failures.of", { reason: name });
  const titles = [
    selection && unseen(say("col.choose")),
    say("col.key"),
    say("col.reason"),
    group.column !== null && say("col.value"),
    numeric(say("col.attempts")),
    say("col.decided"),
  ];
  return html`
    <${Trouble} ...${polled} />
    <table class="inside" aria-label=${label}>
      <${Head} titles=${titles} />
      <tbody>
        ${page.items.map(
          (item) => html`
            <tr key=${item.key}>
              ${selection &&
              html`
                <td>
                  <input
                    type="checkbox"
                    aria-label=${say("failures.choose_item", { key: item.key })}
                    checked=${whole || selection.keys.has(item.key)}
                    disabled=${whole}
                    onChange=${() => selection.toggleKey(item.key)}
                  />
                </td>
              `}
              <td><${ItemLink} itemKey=${item.key} /></td>
              <td class="reason"><${Reason} text=${item.reason} /></td>
              ${group.column !== null && html`<td><${Clamped} value=${item.value} /></td>`}
              <td class="number">${count(item.attempts)}</td>
              <td><${Moment} iso=${item.at} /></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    <${Pager}
      range=${say("page.items", range)}
      onBack=${starts.length > 1 && (() => setStarts(starts.slice(0, -1)))}
      onNext=${page.next !== null && (() => setStarts([...starts, page.next]))}
    />
  `;
}
