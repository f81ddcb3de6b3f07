// Progress of a run: items by outcome, speed, requests and time.

import { html } from "./vendor/preact.js";
import { bytes, count, duration, durationRange, gbSeconds, Moment, percent, rate } from "./format.js";
import { Outcome, OUTCOMES, outcomeWord } from "./states.js";
import { say } from "./text.js";
import { Fact } from "./values.js";

/** Items by outcome, and rows, each as a large number. */
export function Tiles({ summary }) {
  const { tally } = summary;
  return html`
    <dl class="tiles">
      <div class="tile">
        <dt>${say("outcome.planned")}</dt>
        <dd>${count(tally.planned)}</dd>
      </div>
      ${OUTCOMES.map(
        (outcome) => html`
          <div class="tile" key=${outcome}>
            <dt><${Outcome} status=${outcome} /></dt>
            <dd>
              ${count(tally[outcome])}
              ${tally.planned > 0 && html`<small>${percent(tally[outcome] / tally.planned)}</small>`}
            </dd>
          </div>
        `,
      )}
      ${Object.entries(rowNumbers(summary)).map(
        ([name, number]) => html`
          <div class="tile of-rows" key=${name}>
            <dt>${say(`tile.${name}`)}</dt>
            <dd>${count(number)}</dd>
          </div>
        `,
      )}
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

/** The items as a bar; small counts still have a visible segment. */
export function OutcomeBar({ tally, small = false }) {
  const label = tallyText(tally);
  return html`
    <div class="bar ${small ? "small" : ""}" role="img" aria-label=${label} title=${label}>
      ${OUTCOMES.filter((outcome) => tally[outcome] > 0).map(
        (outcome) => html`
          <span key=${outcome} class="segment of-${outcome}" style=${{ flexGrow: tally[outcome] }} />
        `,
      )}
    </div>
  `;
}

/** Speed, requests, rate limit, quota and time, if known. */
export function Figures({ summary, active }) {
  const { rate: speed, requests, timing } = summary;
  return html`
    <dl class="facts figures">
      ${summary.bytes !== null && html`<${Fact} name="figure.bytes">${bytes(summary.bytes)}<//>`}
      ${speed.average !== null && html`<${Fact} name="figure.speed">${speedText(speed, active)}<//>`}
      ${requests && html`<${Fact} name="figure.requests">${requestsText(requests)}<//>`}
      ${requests && budgetText(requests) && html`<${Fact} name="figure.budget">${budgetText(requests)}<//>`}
      ${summary.gb_seconds !== null && html`<${Fact} name="figure.billed">${gbSeconds(summary.gb_seconds)}<//>`}
      ${requests?.quota && html`<${Fact} name="figure.quota"><${Quota} ...${requests} /><//>`}
      ${active
        ? html`<${Fact} name="figure.left">${leftText(timing)}<//>`
        : summary.final && html`<${Fact} name="figure.took">${duration(timing.elapsed)}<//>`}
      ${timing.expected !== null && html`<${Fact} name="figure.forecast">${durationRange(timing.expected)}<//>`}
    </dl>
  `;
}

function speedText(speed, active) {
  const average = rate(speed.average);
  if (!active || speed.now === null) return say("speed.average", { average });
  return say("speed.both", { now: rate(speed.now), average });
}

function requestsText({ used, expected }) {
  return expected === null ? count(used) : say("requests.of", { used, expected });
}

function budgetText({ per_second: second, per_hour: hour }) {
  const parts = [];
  if (second !== null) parts.push(say("budget.second", { n: rate(second) }));
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
  if (left === null) return say("left.unknown");
  const time = durationRange(left);
  return basis ? say(`left.by_${basis}`, { time }) : time;
}
