// Items that are not ok, by reason, with download and redrive; and the rejected rows.

import { html } from "./vendor/preact.js";
import { count, Moment, percent } from "./format.js";
import { useHere } from "./here.js";
import { Download, Examples, GroupTools, isOpen, Lines, NAME_LENGTH, useSet } from "./lines.js";
import { Absent, Trouble } from "./notices.js";
import { tabHref } from "./place.js";
import { usePolled } from "./polling.js";
import { RedriveButton } from "./redrive.js";
import { RejectedRows } from "./rejected.js";
import { Outcome, outcomeWord } from "./states.js";
import { numeric, Table, unseen } from "./table.js";
import { say } from "./text.js";
import { Clamped, ItemLink, Reason } from "./values.js";

const PAUSE = 4_000; // milliseconds

const LEVELS = ["failed", "invalid", "missing"];
const REJECTED = "rejected";

/**
 * `detail` of the address: an outcome or `rejected`, which alone is shown then, and the group whose items or
 * rows are shown: `invalid`, `items-4f1d`, `rejected.rows-8a2c`.
 */
export function Failures({ shown, detail }) {
  const { home, active, stamp } = useHere();
  const polled = usePolled(`${home}/failures`, {
    every: () => (active ? PAUSE : null),
    paused: !shown,
    stamp,
  });
  const failures = polled.data;
  if (!failures) return html`<${Absent} ...${polled} />`;
  const { groups, rejected, final } = failures;
  const named = detail.split(".");
  const only = named.find((name) => [...LEVELS, REJECTED].includes(name)) ?? "";
  const place = { only, open: named.at(-1) };
  const within = groups.filter(({ status }) => !only || status === only);
  return html`
    <${Trouble} ...${polled} />
    <${Filter} only=${only} failures=${failures} />
    ${groups.length + rejected.length > 0 && !final && html`<p class="quiet">${say("failures.live")}</p>`}
    ${only !== REJECTED &&
    (within.length > 0
      ? html`<${FailedItems} failures=${{ ...failures, groups: within }} place=${place} />`
      : html`<p class="absent">${say(active ? "failures.none_yet" : "failures.none")}</p>`)}
    ${(!only || only === REJECTED) &&
    html`<${RejectedRows} groups=${rejected} final=${final} place=${place} />`}
  `;
}

/** Links to what failed, by outcome, and to the rejected rows. */
function Filter({ only, failures }) {
  const counts = [
    ...LEVELS.map((status) => [status, failures.groups.filter((group) => group.status === status)]),
    [REJECTED, failures.rejected],
  ].filter(([, groups]) => groups.length > 0);
  if (counts.length < 2) return null;
  const total = (groups) => groups.reduce((sum, group) => sum + group.count, 0);
  const link = (name, text) => html`
    <a key=${name} href=${tabHref("failures", name)} aria-current=${name === only}>${text}</a>
  `;
  return html`
    <nav class="choices" aria-label=${say("failures.filter")}>
      ${link("", say("failures.all"))}
      ${counts.map(([name, groups]) =>
        link(name, say("failures.of_kind", {
          kind: name === REJECTED ? say("tile.rejected") : outcomeWord(name), n: total(groups),
        })),
      )}
    </nav>
  `;
}

/** `place`: what the address names. */
function FailedItems({ failures, place }) {
  const [groups, toggleGroup] = useSet();
  const [keys, toggleKey] = useSet();
  // A selected group may have disappeared after a redrive.
  const chosen = failures.groups.map(({ id }) => id).filter((id) => groups.has(id));
  const request = { groups: chosen, keys: [...keys] };
  const has = (which) => failures.final && failures.groups.some(({ status }) => which(status));
  const selection = { groups, toggleGroup, keys, toggleKey };
  return html`
    <div class="above">
      <h2>${say("failures.title")}</h2>
      <div class="actions">
        ${has((status) => status !== "missing") && html`<${Download} path="failures.jsonl" file="failed.jsonl" />`}
        ${has((status) => status === "missing") && html`<${Download} path="missing.jsonl" file="missing.jsonl" />`}
        <${RedriveButton} request=${request} small mute disabled=${chosen.length + keys.size === 0}>
          ${say("redrive.selected")}
        <//>
        <${RedriveButton} />
      </div>
    </div>
    <${Groups} failures=${failures} selection=${selection} place=${place} />
  `;
}

/** The reason of a group; empty for the group of all further reasons. */
function reasonOf({ reason, column, rule }) {
  if (column === null) return reason;
  return column ? say("failures.rule", { column, rule: rule ?? "" }) : (rule ?? "");
}

function Groups({ failures, selection, place }) {
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
            place=${place}
          />
        `,
      )}
    <//>
  `;
}

function GroupRow({ group, planned, final, choosable, selection, place }) {
  const open = final && isOpen(place, "items", group);
  const name = reasonOf(group).slice(0, NAME_LENGTH) || say("reason.none");
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
        <${GroupTools}
          file="failures.jsonl"
          of="items"
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
        <td colspan=${width}>
          <${ItemsOf} group=${group} name=${name} selection=${choosable ? selection : null} />
        </td>
      </tr>
    `}
  `;
}

/** The items of a group. `selection`: null if selection is not possible. */
function ItemsOf({ group, name, selection }) {
  const whole = selection?.groups.has(group.id);
  const titles = [
    selection && unseen(say("col.choose")),
    say("col.key"),
    say("col.reason"),
    group.column !== null && say("col.value"),
    numeric(say("col.attempts")),
    say("col.decided"),
  ];
  const row = (item) => html`
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
  `;
  const label = say("failures.of", { reason: name });
  return html`
    <${Lines} path="failures/items" of="items" group=${group} label=${label} titles=${titles} row=${row} />
  `;
}
