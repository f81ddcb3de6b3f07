// The items or rows of one reason, in pages, and the cells that groups of both have in common.

import { html, useState } from "./vendor/preact.js";
import { address, query } from "./api.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { Pager } from "./pager.js";
import { tabHref } from "./place.js";
import { usePolled } from "./polling.js";
import { Sign } from "./signs.js";
import { Head } from "./table.js";
import { say } from "./text.js";
import { ItemLink } from "./values.js";

const SIZE = 50; // lines a page
export const NAME_LENGTH = 200; // characters of a reason or a value, where it is not shown in full

/** A set as state, and a function that toggles a member. */
export function useSet() {
  const [set, change] = useState(() => new Set());
  const toggle = (member) =>
    change((now) => {
      const next = new Set(now);
      if (!next.delete(member)) next.add(member);
      return next;
    });
  return [set, toggle];
}

/** `path`: of the API; `of`: "items" or "rows"; `row`: renders a line. */
export function Lines({ path, of, group, label, titles, row }) {
  const { home, stamp } = useHere();
  // The start of each visited page: the API only returns the start of the next page.
  const [starts, setStarts] = useState([null]);
  const after = starts[starts.length - 1];
  const from = `${home}/${path}${query({ group: group.id, after, limit: SIZE })}`;
  const polled = usePolled(from, { stamp, keep: true });
  const page = polled.data;
  if (!page) return html`<${Absent} ...${polled} />`;
  const lines = page[of];
  const before = (starts.length - 1) * SIZE;
  const range = { from: before + 1, to: before + lines.length, n: group.count };
  return html`
    <${Trouble} ...${polled} />
    <div class="scroll bare" role="region" tabindex="0" aria-label=${label}>
      <table><${Head} titles=${titles} /><tbody>${lines.map(row)}</tbody></table>
    </div>
    ${group.count > SIZE &&
    html`
      <${Pager}
        range=${say(`page.${of}`, range)}
        onBack=${starts.length > 1 && (() => setStarts(starts.slice(0, -1)))}
        onNext=${page.next !== null && (() => setStarts([...starts, page.next]))}
      />
    `}
  `;
}

/** The name of a group in the address; a group of items and one of rows may have the same id. */
const nameIn = (of, group) => `${of}-${group.id}`;

/** Whether the address names a group of items or of rows. */
export const isOpen = (place, of, group) => place.open === nameIn(of, group);

/** The cell of a group with a link that shows its lines, and their download; `only`: the filter above. */
export function GroupTools({ file, of, group, name, open, only }) {
  const { home } = useHere();
  const place = [only, ...(open ? [] : [nameIn(of, group)])].filter(Boolean).join(".");
  const toggle = say(open ? `failures.hide_${of}` : `failures.show_${of}`);
  return html`
    <td class="tools">
      <a
        href=${tabHref("failures", place)}
        aria-label=${say("about", { what: toggle, which: name })}
      >
        ${toggle}
      </a>
      <a
        href=${address(`${home}/${file}${query({ group: group.id })}`)}
        aria-label=${say("about", { what: "JSONL", which: name })}
        download
      >
        JSONL
      </a>
    </td>
  `;
}

/** The download of all items or rows of an outcome, by the name of its file. */
export function Download({ path, file }) {
  const { home } = useHere();
  const label = say("about", { what: say("files.download"), which: file });
  return html`
    <a class="button" href=${address(`${home}/${path}`)} aria-label=${label} download>
      <${Sign} name="down" />${file}
    </a>
  `;
}

export function Examples({ examples }) {
  return html`
    <ul class="plain">
      ${examples.map(
        ({ key, value }, index) => html`
          <li key=${index}>
            <${ItemLink} itemKey=${key} />
            ${value !== null &&
            html`<span class="clamp quiet" dir="auto">${value.slice(0, NAME_LENGTH)}</span>`}
          </li>
        `,
      )}
    </ul>
  `;
}
