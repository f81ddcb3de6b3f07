// Combines the two tasks of a batch: one state, one duration, and the relevant log.

import { duration, momentText } from "./format.js";
import { tallyText } from "./progress.js";
import { stateWord } from "./states.js";
import { say } from "./text.js";

/** Whether `process` is the current task of the batch: it has failed or started. */
function pastFetching({ fetch, process }) {
  if (process.state === "failed") return true;
  return fetch.state === "success" && process.state !== null && process.state !== "upstream_failed";
}

function total(...seconds) {
  const known = seconds.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

/**
 * The batches of a response, each with `task` and `state` of the current task, `seconds` of both tasks,
 * the larger number of `tries`, `lost` (failed and invalid items, rejected rows) and a summary as `text`.
 */
export function described({ batches, fetch_task: fetchTask, process_task: processTask }) {
  return batches.map((batch) => {
    const processing = pastFetching(batch);
    const { state } = processing ? batch.process : batch.fetch;
    const seconds = total(batch.fetch.seconds, batch.process.seconds);
    const tries = Math.max(batch.fetch.tries, batch.process.tries);
    const lost = batch.tally.failed + batch.tally.invalid + (batch.rejected ?? 0);
    const task = processing ? processTask : fetchTask;
    const known = { ...batch, task, state, seconds, tries, lost };
    return { ...known, text: sentence(known) };
  });
}

function sentence({ label, state, seconds, tally, rows, rejected, tries, waits_until: until }) {
  const parts = [label, stateWord(state)];
  if (seconds !== null) parts.push(duration(seconds));
  parts.push(tallyText(tally));
  if (rows !== null) parts.push(say("batch.rows", { n: rows }));
  if (rejected > 0) parts.push(say("batch.rejected", { n: rejected }));
  if (tries > 1) parts.push(say("batch.tries", { n: tries }));
  if (until) parts.push(say("batch.waits", { time: momentText(until) }));
  return parts.join(" · ");
}
