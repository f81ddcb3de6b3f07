// Items that are not in the dataset, by reason, with download and redrive.

import { html, useState } from "./vendor/preact.js";
import { address, query } from "./api.js";
import { FailedItems } from "./faileditems.js";
import { count, percent } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { RedriveButton } from "./redrive.js";
import { Sign } from "./signs.js";
import { Outcome } from "./states.js";
import { numeric, Table, unseen } from "./table.js";
import { say } from "./text.js";
import { ItemLink, Reason } from "./values.js";

const PAUSE = 4_000; // milliseconds
const NAME_LENGTH = 200; // characters of a reason or a value, where it is not shown in full

/** A set as state, and a function that toggles a member. */
function useSet() {
  const [set, change] = useState(() => new Set());
  const toggle = (member) =>
    change((now) => {
      const next = new Set(now);
      if (!next.delete(member)) next.add(member);
      return next;
    });
  return [set, toggle];
}

export function Failures({ shown }) {
  const { home, active, stamp } = useHere();
  const polled = usePolled(`${home}/failures`, {
    every: () => (active ? PAUSE : null),
    paused: !shown,
    stamp,
  });
  const [groups, toggleGroup] = useSet();
  const [keys, toggleKey] = useSet();
  const [open, toggleOpen] = useSet();
  const failures = polled.data;
  if (!failures) return html`<${Absent} ...${polled} />`;
  if (failures.groups.length === 0) {
    return html`<p class="absent">${say(active ? "failures.none_yet" : "failures.none")}</p>`;
  }
  // A selected group may have disappeared after a redrive.
  const chosen = failures.groups.map(({ id }) => id).filter((id) => groups.has(id));
  const request = { groups: chosen, keys: [...keys] };
  const selection = { groups, toggleGroup, keys, toggleKey, open, toggleOpen };
  return html`
    <${Trouble} ...${polled} />
    <div class="above">
      <h2>${say("failures.title")}</h2>
      <div class="actions">
        ${failures.final &&
        html`
          <a class="button" href=${address(`${home}/failures.jsonl`)} download>
            <${Sign} name="down" />${say("failures.download_all")}
          </a>
        `}
        <${RedriveButton} request=${request} small mute disabled=${chosen.length + keys.size === 0}>
          ${say("redrive.selected")}
        <//>
        <${RedriveButton} />
      </div>
    </div>
    ${!failures.final && html`<p class="quiet">${say("failures.live")}</p>`}
    <${Groups} failures=${failures} selection=${selection} />
  `;
}

/** The reason of a group; empty for the group of all further reasons. */
function reasonOf({ reason, column, rule }) {
  return column === null ? reason : say("failures.rule", { column, rule: rule ?? "" });
}

function Groups({ failures, selection }) {
  const { summary } = useHere();
  const planned = summary.tally?.planned ?? 0;
  const choosable = failures.final && summary.redrive.allowed;
  const titles = [
    choosable && unseen(say("col.choose")),
    say("col.outcome"),
    say("col.reason"),
    numeric(say("col.items")),
    numeric(say("col.attempts_each")),
    say("col.examples"),
    failures.final && say("col.more"),
  ];
  return html`
    <${Table} label=${say("failures.title")} titles=${titles} look="groups">
      ${failures.groups.map(
        (group) => html`
          <${GroupRow}
            key=${group.id}
            group=${group}
            planned=${planned}
            final=${failures.final}
            choosable=${choosable}
            selection=${selection}
          />
        `,
      )}
    <//>
  `;
}

function GroupRow({ group, planned, final, choosable, selection }) {
  const { home } = useHere();
  const open = final && selection.open.has(group.id);
  const name = reasonOf(group).slice(0, NAME_LENGTH) || say("reason.none");
  const toggle = say(open ? "failures.hide" : "failures.show");
  const width = 5 + Boolean(choosable) + Boolean(final);
  return html`
    <tr>
      ${choosable &&
      html`
        <td>
          <input
            type="checkbox"
            aria-label=${say("failures.choose_group", { reason: name })}
            checked=${selection.groups.has(group.id)}
            onChange=${() => selection.toggleGroup(group.id)}
          />
        </td>
      `}
      <td><${Outcome} status=${group.status} /></td>
      <td class="reason">
        <${Reason} text=${reasonOf(group)} />
      </td>
      <td class="number">
        ${count(group.count)}${planned > 0 && html`<small>${percent(group.count / planned)}</small>`}
      </td>
      <td class="number">${count(Math.round((10 * group.attempts) / group.count) / 10)}</td>
      <td><${Examples} examples=${group.examples} /></td>
      ${final &&
      html`
        <td class="tools">
          <button
            type="button"
            class="textual"
            aria-expanded=${open}
            aria-label=${say("about", { what: toggle, which: name })}
            onClick=${() => selection.toggleOpen(group.id)}
          >
            ${toggle}
          </button>
          <a
            href=${address(`${home}/failures.jsonl${query({ group: group.id })}`)}
            aria-label=${say("about", { what: "JSONL", which: name })}
            download
          >
            JSONL
          </a>
        </td>
      `}
    </tr>
    ${open &&
    html`
      <tr class="inner">
        <td colspan=${width}>
          <${FailedItems} group=${group} name=${name} selection=${choosable ? selection : null} />
        </td>
      </tr>
    `}
  `;
}

function Examples({ examples }) {
  return html`
    <ul class="plain">
      ${examples.map(
        ({ key, value }) => html`
          <li key=${key}>
            <${ItemLink} itemKey=${key} />
            ${value !== null &&
            html`<span class="clamp quiet" dir="auto">${value.slice(0, NAME_LENGTH)}</span>`}
          </li>
        `,
      )}
    </ul>
  `;
}
