// The page of a run: the head with its numbers and the search, and the tabs or an item.

import { html, useEffect, useState } from "./vendor/preact.js";
import { runAddress } from "./api.js";
import { Batches } from "./batches.js";
import { Comparison } from "./comparison.js";
import { Dataset } from "./dataset.js";
import { Failures } from "./failures.js";
import { Head } from "./head.js";
import { HereProvider } from "./here.js";
import { ItemView } from "./item.js";
import { Absent } from "./notices.js";
import { openTab, TABS, usePlace } from "./place.js";
import { usePolled } from "./polling.js";
import { RunAction, Started } from "./redrive.js";
import { Report } from "./report.js";
import { stillActive } from "./states.js";
import { TabPanel, Tabs } from "./tabs.js";
import { say } from "./text.js";

// Milliseconds.
const OFTEN = 2_000;
const SELDOM = 15_000; // Another user may redrive the run.
const SETTLING = 60_000; // What is written after a run's end, and until a redrive is under way.

const VIEWS = {
  batches: Batches, failures: Failures, dataset: Dataset, report: Report, compare: Comparison,
};

function pause(summary, hurriedAt) {
  if (!summary || stillActive(summary.state) || Date.now() - hurriedAt < SETTLING) return OFTEN;
  const justEnded = Date.now() - Date.parse(summary.ended_at ?? "") < SETTLING;
  return !summary.final && justEnded ? OFTEN : SELDOM;
}

export function Run({ dag, run }) {
  const home = runAddress(dag, run);
  const [hurriedAt, hurry] = useState(0);
  const [action, act] = useState(null);
  const [started, setStarted] = useState(null);
  const polled = usePolled(home, { every: (summary) => pause(summary, hurriedAt) });
  const summary = polled.data;

  useEffect(() => {
    document.title = say("run.title", { run });
  }, [run]);
  useEffect(() => {
    if (hurriedAt) polled.reload();
  }, [hurriedAt]);

  if (!summary) {
    return html`<h1>${say("run.heading")}</h1><${Absent} ...${polled} />`;
  }
  const tallied = summary.tally !== null;
  const here = {
    dag,
    run,
    home,
    summary,
    active: stillActive(summary.state),
    // The data of the tabs is out of date when one of these changes.
    stamp: [summary.state, tallied, summary.final, summary.ended_at, hurriedAt].join(),
    act,
    hurry: () => hurry(Date.now()),
  };
  const done = (answer) => {
    act(null);
    setStarted(answer);
    hurry(Date.now());
  };
  return html`
    <${HereProvider} value=${here}>
      <${Head} trouble=${polled} />
      <${Started} answer=${started} onClose=${() => setStarted(null)} />
      <${Views} />
      ${action && html`<${RunAction} action=${action} onClose=${() => act(null)} onDone=${done} />`}
    <//>
  `;
}

/** An item, or the tabs; an open item does not change the state of the tab. */
function Views() {
  const place = usePlace();
  const View = VIEWS[place.tab];
  const tabs = TABS.map((name) => [name, say(`tab.${name}`)]);
  return html`
    ${place.item !== null &&
    html`<${ItemView} key=${place.item} itemKey=${place.item} tab=${place.tab} />`}
    <div hidden=${place.item !== null}>
      <${Tabs} tabs=${tabs} open=${place.tab} label=${say("tabs.label")} onOpen=${openTab} />
      <${TabPanel} key=${place.tab} name=${place.tab}>
        <${View} shown=${place.item === null} detail=${place.detail} />
      <//>
    </div>
  `;
}
