// All batches of the run: few as rows with their progress, many as a grid.

import { html, useMemo, useState } from "./vendor/preact.js";
import { BatchGrid } from "./batchgrid.js";
import { described } from "./batchstate.js";
import { BatchTable } from "./batchtable.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { say } from "./text.js";

const PAUSE = 4_000; // milliseconds
const FEW = 24; // batches whose rows can be read one by one

/** `detail`: the number of a batch, if the address names one. */
export function Batches({ shown, detail }) {
  const { home, active, stamp } = useHere();
  const [choice, choose] = useState(null);
  const polled = usePolled(`${home}/batches`, {
    every: () => (active ? PAUSE : null),
    paused: !shown,
    stamp,
  });
  const batches = useMemo(() => polled.data && described(polled.data), [polled.data]);
  if (!batches) return html`<${Absent} ...${polled} />`;
  if (batches.length === 0) return html`<p class="absent">${say("batches.none")}</p>`;
  const view = choice ?? (batches.length > FEW ? "state" : "table");
  const chosen = detail === "" ? null : Number(detail);
  return html`
    <${Trouble} ...${polled} />
    <div class="above">
      <h2>${say("batches.title", { n: batches.length })}</h2>
      <div class="choices" role="group" aria-label=${say("batches.view")}>
        ${["table", "state", "duration"].map(
          (name) => html`
            <button
              key=${name}
              type="button"
              aria-pressed=${name === view}
              onClick=${() => choose(name)}
            >
              ${say(`batches.by_${name}`)}
            </button>
          `,
        )}
      </div>
    </div>
    ${view === "table"
      ? html`<${BatchTable} batches=${batches} chosen=${chosen} />`
      : html`<${BatchGrid} batches=${batches} view=${view} chosen=${chosen} />`}
  `;
}
