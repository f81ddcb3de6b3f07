// What the two tasks of a batch amount to: one state, one duration, and the log worth reading.

import { duration, momentText } from "./format.js";
import { tallyText } from "./progress.js";
import { stateWord } from "./states.js";
import { say } from "./text.js";

/** Whether `process` is the task that the batch is about now: it failed, or has begun. */
function pastFetching({ fetch, process }) {
  if (process.state === "failed") return true;
  return fetch.state === "success" && process.state !== null && process.state !== "upstream_failed";
}

function total(...seconds) {
  const known = seconds.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

/**
 * The batches of an answer, each with `task` and `state` of the task to look at, `seconds` of both,
 * `tries` of the one that was tried more, `lost` (items that are not in the dataset through a
 * failure) and `text`, all of it in a sentence.
 */
export function described({ batches, fetch_task: fetchTask, process_task: processTask }) {
  return batches.map((batch) => {
    const processing = pastFetching(batch);
    const { state } = processing ? batch.process : batch.fetch;
    const seconds = total(batch.fetch.seconds, batch.process.seconds);
    const tries = Math.max(batch.fetch.tries, batch.process.tries);
    const lost = batch.tally.failed + batch.tally.invalid;
    const task = processing ? processTask : fetchTask;
    const known = { ...batch, task, state, seconds, tries, lost };
    return { ...known, text: sentence(known) };
  });
}

function sentence({ label, state, seconds, tally, tries, waits_until: until }) {
  const parts = [label, stateWord(state)];
  if (seconds !== null) parts.push(duration(seconds));
  parts.push(tallyText(tally));
  if (tries > 1) parts.push(say("batch.tries", { n: tries }));
  if (until) parts.push(say("batch.waits", { time: momentText(until) }));
  return parts.join(" · ");
}
