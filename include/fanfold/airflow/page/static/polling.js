// Polls the API: one request at a time, none while the page is hidden.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { Away, get, parse, Refused } from "./api.js";

// Milliseconds.
const AGAIN_WHEN_AWAY = 5_000;
const AGAIN_WHEN_REFUSED = 15_000;
const NOTHING = { address: null, data: null, problem: null, away: false };

class Poll {
  constructor(address, tell, settings) {
    Object.assign(this, { address, tell, settings });
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
      const text = await get(this.address, this.stopper.signal);
      // An identical response is not rendered again.
      const data = text === this.text ? this.state.data : parse(text);
      this.text = text;
      this.change({ data, problem: null, away: false });
    } catch (error) {
      if (error instanceof Refused) this.change({ problem: error, away: false });
      else if (error instanceof Away) this.change({ away: true });
      else throw error;
    } finally {
      this.busy = false;
      this.plan();
    }
  }

  plan() {
    const every = this.settings().every(this.state.data);
    const away = this.state.away || this.state.problem?.code.endsWith("_away");
    const refused = every !== null && this.state.problem;
    const usual = refused ? Math.max(every, AGAIN_WHEN_REFUSED) : every;
    const pause = this.again ? 0 : away ? AGAIN_WHEN_AWAY : usual;
    this.again = false;
    if (pause !== null && !this.stopper.signal.aborted) this.timer = setTimeout(this.wake, pause);
  }

  change(news) {
    if (this.stopper.signal.aborted) return;
    if (Object.entries(news).every(([name, value]) => this.state[name] === value)) return;
    this.state = { ...this.state, ...news };
    this.tell(this.state);
  }
}

/**
 * The response of the API at an address (null: no request).
 *
 * `every` returns the interval in milliseconds for the data, or null to request once; `paused` stops
 * polling; a new `stamp` requests at once; `keep` keeps the last response when the address changes.
 * Returns `data`, `problem` (rejected), `away` (no connection) and `reload`.
 */
export function usePolled(address, options = {}) {
  const { every = () => null, paused = false, stamp = "", keep = false } = options;
  const [state, tell] = useState(NOTHING);
  const settings = useRef();
  settings.current = { every, paused };
  const poll = useRef(null);
  const seen = useRef({ paused, stamp });

  useEffect(() => {
    if (address === null) return undefined;
    poll.current = new Poll(address, tell, () => settings.current);
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
