// Polls the API: one request at a time, none while the page is hidden.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get, parse, Refused, Unreachable } from "./api.js";

// Milliseconds.
const RETRY_UNREACHABLE = 5_000;
const RETRY_REFUSED = 15_000;
const RETRIED = /^busy$|_away$/; // codes of what is unavailable for a while
const NOTHING = { address: null, data: null, problem: null, unreachable: false };

class Poll {
  constructor(address, listener, settings) {
    Object.assign(this, { address, listener, settings });
    this.state = { ...NOTHING, address };
    this.stopper = new AbortController();
    this.wake = this.wake.bind(this);
    document.addEventListener("visibilitychange", this.wake);
    this.wake();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.wake);
    clearTimeout(this.timer);
    this.stopper.abort();
  }

  /** Request now, or after the request in flight. */
  wake() {
    clearTimeout(this.timer);
    if (document.hidden || this.settings().paused || this.stopper.signal.aborted) return;
    if (this.busy) this.again = true;
    else this.ask();
  }

  async ask() {
    this.busy = true;
    try {
      const text = await get(this.address, this.stopper.signal, this.settings().patience);
      // An identical response is not rendered again.
      const data = text === this.text ? this.state.data : parse(text);
      this.text = text;
      this.change({ data, problem: null, unreachable: false });
    } catch (error) {
      if (error instanceof Refused) this.change({ problem: error, unreachable: false });
      else if (error instanceof Unreachable) this.change({ unreachable: true });
      else throw error;
    } finally {
      this.busy = false;
      this.plan();
    }
  }

  plan() {
    const every = this.settings().every(this.state.data);
    const unreachable = this.state.unreachable || RETRIED.test(this.state.problem?.code ?? "");
    const refused = every !== null && this.state.problem;
    const usual = refused ? Math.max(every, RETRY_REFUSED) : every;
    const pause = this.again ? 0 : unreachable ? RETRY_UNREACHABLE : usual;
    this.again = false;
    if (pause !== null && !this.stopper.signal.aborted) this.timer = setTimeout(this.wake, pause);
  }

  change(news) {
    if (this.stopper.signal.aborted) return;
    if (Object.entries(news).every(([name, value]) => this.state[name] === value)) return;
    this.state = { ...this.state, ...news };
    this.listener(this.state);
  }
}

/**
 * The response of the API at an address (null: no request).
 *
 * `every` returns the interval in milliseconds for the data, or null to request once; `paused` stops
 * polling; a new `stamp` requests at once; `keep` keeps the last response when the address changes;
 * `patience` is how long a response may take, in milliseconds.
 * Returns `data`, `problem` (rejected), `unreachable` (no connection) and `reload`.
 */
export function usePolled(address, options = {}) {
  const { every = () => null, paused = false, stamp = "", keep = false, patience } = options;
  const [state, setState] = useState(NOTHING);
  const settings = useRef();
  settings.current = { every, paused, patience };
  const poll = useRef(null);
  const seen = useRef({ paused, stamp });

  useEffect(() => {
    if (address === null) return undefined;
    poll.current = new Poll(address, setState, () => settings.current);
    return () => poll.current.stop();
  }, [address]);

  useEffect(() => {
    const changed = seen.current.stamp !== stamp || (seen.current.paused && !paused);
    seen.current = { paused, stamp };
    if (changed) poll.current?.wake();
  }, [paused, stamp]);

  const reload = () => poll.current?.wake();
  return { ...(state.address === address || keep ? state : NOTHING), reload };
}
