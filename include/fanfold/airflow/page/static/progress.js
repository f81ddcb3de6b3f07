// Progress of a run: items by outcome, speed, requests and time.

import { html } from "./vendor/preact.js";
import { bytes, count, durationRange, gbSeconds, Moment, percent, rate } from "./format.js";
import { tabHref } from "./place.js";
import { Outcome, OUTCOMES, outcomeWord } from "./states.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

/** Items by outcome, and rows, each as a large number that leads to what it counts. */
export function Tiles({ summary }) {
  const { tally, final } = summary;
  const outcomes = OUTCOMES.filter((outcome) => outcome !== "waiting" || !final);
  return html`
    <dl class="tiles">
      <${Tile} name=${say("outcome.planned")} number=${tally.planned} href=${tabHref("batches")} />
      ${outcomes.map(
        (outcome) => html`
          <${Tile}
            key=${outcome}
            name=${html`<${Outcome} status=${outcome} />`}
            number=${tally[outcome]}
            share=${tally.planned > 0 && tally[outcome] / tally.planned}
            href=${outcomeHref(outcome)}
          />
        `,
      )}
      ${Object.entries(rowNumbers(summary)).map(
        ([name, number]) => html`
          <${Tile}
            key=${name}
            name=${say(`tile.${name}`)}
            number=${number}
            href=${name === "rejected" ? tabHref("failures", name) : tabHref("dataset")}
            look="of-rows"
          />
        `,
      )}
    </dl>
  `;
}

/** The tab that shows the items with an outcome. */
function outcomeHref(outcome) {
  if (outcome === "waiting") return tabHref("batches");
  return outcome === "ok" ? tabHref("dataset") : tabHref("failures", outcome);
}

/** `share`: of all items, or false; nothing is behind a zero. */
function Tile({ name, number, share = false, href = null, look = "" }) {
  const shown = typeof number === "string" ? number : count(number);
  return html`
    <div class="tile ${look}">
      <dt>${name}</dt>
      <dd>
        ${href && number ? html`<a href=${href}>${shown}</a>` : shown}
        ${share !== false && html`<small>${percent(share)}</small>`}
      </dd>
    </div>
  `;
}

/** What a dry run found: what a run over its list would do. */
export function DryRun({ summary }) {
  const { tally, requests, timing, bytes: size, batches } = summary;
  return html`
    <dl class="tiles answer">
      <${Tile} name=${say("dry.items")} number=${tally.planned} />
      <${Tile} name=${say("dry.batches")} number=${batches} />
      ${requests.expected !== null && html`<${Tile} name=${say("dry.requests")} number=${requests.expected} />`}
      ${size !== null && html`<${Tile} name=${say("figure.bytes")} number=${bytes(size)} />`}
      ${timing.expected && html`<${Tile} name=${say("dry.time")} number=${durationRange(timing.expected)} />`}
    </dl>
  `;
}

/** Numbers of rows, by the name of their tile. */
function rowNumbers({ rows, rejected, merge, final, verdict }) {
  if (!merge) return { rows, rejected };
  const { run_rows: ofRun } = merge;
  // An empty run has no dataset: the published one stays.
  const merged = final && verdict !== "empty";
  return { ...(merged && { dataset_rows: rows }), run_rows: ofRun, rejected };
}

/** The items as a sentence, for screen readers. */
export function tallyText(tally) {
  const parts = OUTCOMES.filter((outcome) => tally[outcome] > 0).map((outcome) =>
    say("tally.part", { n: tally[outcome], outcome: outcomeWord(outcome) }),
  );
  return say("tally.all", { n: tally.planned, parts: parts.join(say("list.comma")) });
}

/**
 * The items as a bar; small counts still have a visible segment. Each segment leads to its items, as the
 * tiles do; a `small` one is a picture.
 */
export function OutcomeBar({ tally, small = false }) {
  const outcomes = OUTCOMES.filter((outcome) => tally[outcome] > 0);
  const segment = (outcome) => ({ class: `segment of-${outcome}`, style: { flexGrow: tally[outcome] } });
  const title = (outcome) => say("tally.part", { n: tally[outcome], outcome: outcomeWord(outcome) });
  if (!small) {
    return html`
      <div class="bar" aria-hidden="true">
        ${outcomes.map(
          (outcome) => html`
            <a key=${outcome} ...${segment(outcome)} href=${outcomeHref(outcome)} title=${title(outcome)} tabindex="-1" />
          `,
        )}
      </div>
    `;
  }
  const label = tallyText(tally);
  return html`
    <div class="bar small" role="img" aria-label=${label} title=${label}>
      ${outcomes.map((outcome) => html`<span key=${outcome} ...${segment(outcome)} />`)}
    </div>
  `;
}

/** Speed, requests, rate limit, quota and time, if known, as facts. */
export function figures(summary, active) {
  const { rate: speed, requests, timing, fetching, latest, limits } = summary;
  const planned = summary.verdict === "planned";
  const budget = active && requests && budgetText(requests, limits);
  return html`
    ${timing.left && html`<${Fact} name="figure.left">${leftText(timing)}<//>`}
    ${timing.expected && !planned && html`<${Fact} name="figure.forecast">${durationRange(timing.expected)}<//>`}
    ${speed.average !== null && html`<${Fact} name="figure.speed">${speedText(speed, active)}<//>`}
    ${fetching && html`<${Fact} name="figure.in_flight">${inFlightText(fetching)}<//>`}
    ${requests && !planned && html`<${Fact} name="figure.requests">${requestsText(requests)}<//>`}
    ${budget && html`<${Fact} name="figure.budget">${budget}<//>`}
    ${summary.bytes !== null && !planned && html`<${Fact} name="figure.bytes">${bytes(summary.bytes)}<//>`}
    ${summary.gb_seconds !== null && html`<${Fact} name="figure.billed">${gbSeconds(summary.gb_seconds)}<//>`}
    ${active && requests?.quota && html`<${Fact} name="figure.quota"><${Quota} ...${requests} /><//>`}
    ${latest !== null && html`<${Fact} name="figure.latest">${say(latest ? "latest.moved" : "latest.stays")}<//>`}
  `;
}

function inFlightText({ in_flight: now, allowed, slowed_by: why }) {
  const text = say("in_flight.of", { now, allowed });
  return why ? say("in_flight.slowed", { text, why: say(`slowed.${why}`) }) : text;
}

function speedText(speed, active) {
  const average = rate(speed.average);
  if (!active || speed.now === null) return say("speed.average", { average });
  return say("speed.both", { now: rate(speed.now), average });
}

function requestsText({ used, expected }) {
  return expected === null ? count(used) : say("requests.of", { used, expected });
}

/** What the limits of the run do not say already. */
function budgetText({ per_second: second, per_hour: hour }, { requests_per_second: own }) {
  const parts = [];
  if (second !== null && own === null) parts.push(say("budget.second", { n: rate(second) }));
  if (hour !== null) parts.push(say("budget.hour", { n: rate(hour) }));
  return parts.join(" · ");
}

/** The remaining quota: until its reset, the reported value minus the requests made since. */
function Quota({ quota, used }) {
  const { limit, remaining: reported } = quota;
  const current = Date.now() < Date.parse(quota.reset_at);
  const left = current
    ? say("quota.left", { remaining: Math.max(0, reported - used), limit })
    : say("quota.told", { remaining: reported, limit });
  return html`
    ${left}${" "}
    <small>${say("quota.reset")}${" "}<${Moment} iso=${quota.reset_at} brief /></small>
  `;
}

function leftText({ left, basis }) {
  const time = durationRange(left);
  return basis ? say(`left.by_${basis}`, { time }) : time;
}
