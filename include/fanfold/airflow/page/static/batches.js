// All batches of the run, as a heat map or as a table.

import { html, useMemo, useState } from "./vendor/preact.js";
import { BatchGrid } from "./batchgrid.js";
import { described } from "./batchstate.js";
import { BatchTable } from "./batchtable.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { say } from "./text.js";

const PAUSE = 4_000; // milliseconds

export function Batches({ shown }) {
  const { home, active, stamp } = useHere();
  const [view, setView] = useState("state");
  const polled = usePolled(`${home}/batches`, {
    every: () => (active ? PAUSE : null),
    paused: !shown,
    stamp,
  });
  const batches = useMemo(() => polled.data && described(polled.data), [polled.data]);
  if (!batches) return html`<${Absent} ...${polled} />`;
  if (batches.length === 0) return html`<p class="absent">${say("batches.none")}</p>`;
  return html`
    <${Trouble} ...${polled} />
    <div class="above">
      <h2>${say("batches.title", { n: batches.length })}</h2>
      <div class="choices" role="group" aria-label=${say("batches.view")}>
        ${["state", "duration", "table"].map(
          (name) => html`
            <button
              key=${name}
              type="button"
              aria-pressed=${name === view}
              onClick=${() => setView(name)}
            >
              ${say(`batches.by_${name}`)}
            </button>
          `,
        )}
      </div>
    </div>
    ${view === "table"
      ? html`<${BatchTable} batches=${batches} />`
      : html`<${BatchGrid} batches=${batches} view=${view} />`}
  `;
}
