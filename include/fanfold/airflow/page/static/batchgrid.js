// The batches as a grid of cells, each a link to a log. One cell is in the tab order; arrow keys
// move to the others (roving tabindex).

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { AirflowLink, logPath } from "./airflow.js";
import { duration } from "./format.js";
import { useHere } from "./here.js";
import { Sign } from "./signs.js";
import { stateClass, stateSign, stateWord } from "./states.js";
import { say } from "./text.js";

const SHADES = 5;
const SHORTEST = 0.1; // seconds; what is shorter looks the same

/** Cells per row of the grid, as laid out by the browser. */
function columns(grid) {
  const top = grid.firstElementChild.offsetTop;
  const cells = [...grid.children];
  const second = cells.findIndex((cell) => cell.offsetTop > top);
  return second < 0 ? cells.length : second;
}

/**
 * The upper bounds of the shades in seconds, or null if no batch has started. They grow by a constant
 * factor, so that one very slow batch does not make all others look the same.
 */
function scale(batches) {
  const known = batches.map((batch) => batch.seconds).filter((value) => value !== null);
  if (known.length === 0) return null;
  const [least, most] = [Math.max(SHORTEST, Math.min(...known)), Math.max(SHORTEST, ...known)];
  if (least === most) return [most];
  return Array.from({ length: SHADES }, (_, n) => least * (most / least) ** ((n + 1) / SHADES));
}

function shadeOf(seconds, bounds) {
  const shade = bounds.findIndex((bound) => seconds <= bound);
  return shade < 0 ? bounds.length - 1 : shade;
}

/** `view`: meaning of the colours, `state` or `duration`; `chosen`: the batch that is pointed at first. */
export function BatchGrid({ batches, view, chosen }) {
  const { dag, run } = useHere();
  const grid = useRef(null);
  const first = batches.findIndex((batch) => batch.batch === chosen);
  const [at, setAt] = useState(Math.max(0, first));
  const [pointed, point] = useState(first < 0 ? null : first);
  const range = view === "duration" ? scale(batches) : null;
  const current = Math.min(at, batches.length - 1);

  const press = (event) => {
    const across = columns(grid.current);
    const last = batches.length - 1;
    const to = {
      ArrowRight: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current + across,
      ArrowUp: current - across,
      Home: event.ctrlKey ? 0 : current - (current % across),
      End: event.ctrlKey ? last : Math.min(last, current - (current % across) + across - 1),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 || to > last) return;
    setAt(to);
    grid.current.children[to].firstElementChild.focus();
  };
  const shown = pointed === null ? null : batches[pointed];
  return html`
    <p class="quiet" id="grid-help">${say("batches.help")}</p>
    <ul
      class="grid"
      aria-label=${say("batches.label")}
      aria-describedby="grid-help"
      ref=${grid}
      onKeyDown=${press}
      onMouseLeave=${() => point(null)}
    >
      ${batches.map(
        (batch, index) => html`
          <li key=${batch.batch}>
            <${AirflowLink}
              path=${logPath(dag, run, batch.task, batch.batch)}
              class="cell ${look(batch, range, view)}"
              tabindex=${index === current ? 0 : -1}
              title=${batch.text}
              aria-label=${batch.text}
              onMouseEnter=${() => point(index)}
              onFocus=${() => (setAt(index), point(index))}
            >
              ${(view === "state" || batch.state === "failed") &&
              html`<${Sign} name=${stateSign(batch.state)} />`}
            <//>
          </li>
        `,
      )}
    </ul>
    <p class="detail wrap" dir="auto">${shown ? shown.text : say("batches.point")}</p>
    ${view === "state"
      ? html`<${StateLegend} batches=${batches} />`
      : html`<${DurationLegend} range=${range} />`}
  `;
}

function look(batch, range, view) {
  if (view === "state") return `${stateClass(batch.state)} ${batch.lost > 0 ? "lost" : ""}`;
  return batch.seconds === null || !range ? "shade-none" : `shade-${shadeOf(batch.seconds, range)}`;
}

function StateLegend({ batches }) {
  const counts = new Map();
  for (const batch of batches) {
    const state = batch.state ?? "none";
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const lost = batches.filter((batch) => batch.lost > 0).length;
  return html`
    <ul class="legend" aria-label=${say("batches.legend")}>
      ${[...counts].map(
        ([state, n]) => html`
          <li key=${state}>
            <span class="cell ${stateClass(state)}"><${Sign} name=${stateSign(state)} /></span>
            ${say("legend.state", { state: stateWord(state), n })}
          </li>
        `,
      )}
      ${lost > 0 &&
      html`
        <li key="lost">
          <span class="cell state-none lost" /> ${say("legend.lost", { n: lost })}
        </li>
      `}
    </ul>
  `;
}

function DurationLegend({ range }) {
  if (!range) return html`<p class="quiet">${say("legend.no_duration")}</p>`;
  return html`
    <ul class="legend" aria-label=${say("batches.legend")}>
      ${range.map(
        (bound, shade) => html`
          <li key=${shade}>
            <span class="cell shade-${shade}" /> ${say("legend.up_to", { time: duration(bound) })}
          </li>
        `,
      )}
      <li key="none"><span class="cell shade-none" /> ${say("legend.not_begun")}</li>
    </ul>
  `;
}
