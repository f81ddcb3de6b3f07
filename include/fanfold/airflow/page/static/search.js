// Search by key or label: a combobox with suggestions (ARIA Authoring Practices Guide).

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { get, query } from "./api.js";
import { useHere } from "./here.js";
import { openItem } from "./place.js";
import { Sign } from "./signs.js";
import { Outcome } from "./states.js";
import { say } from "./text.js";

const PAUSE = 150; // milliseconds without a key press, before we ask

/** Items that fit the typed text; empty without text. */
function useSuggestions(home, prefix) {
  const [found, setFound] = useState([]);
  useEffect(() => {
    if (!prefix) {
      setFound([]);
      return undefined;
    }
    const stopper = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const answer = JSON.parse(
          await get(`${home}/suggestions${query({ prefix })}`, stopper.signal),
        );
        if (!stopper.signal.aborted) setFound(answer.suggestions);
      } catch {
        // Without suggestions the whole key can still be typed.
        if (!stopper.signal.aborted) setFound([]);
      }
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stopper.abort();
    };
  }, [home, prefix]);
  return found;
}

export function Search() {
  const { home, summary } = useHere();
  const [typed, setTyped] = useState("");
  const [wanted, setWanted] = useState(false);
  const [active, setActive] = useState(-1);
  const list = useRef(null);
  const found = useSuggestions(home, typed.trim());
  const open = wanted && found.length > 0;
  const at = open && active < found.length ? active : -1;

  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const close = () => {
    setWanted(false);
    setActive(-1);
  };
  const choose = (key) => {
    if (!key) return;
    setTyped(key);
    close();
    openItem(key);
  };
  const press = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length > 0) {
      event.preventDefault();
      setWanted(true);
      // One position more than keys: between the last and the first is the typed text.
      const places = found.length + 1;
      setActive(((at + 1 + step + places) % places) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      // A label is no key: one that fits a single item opens that.
      const only = found.length === 1 && found[0].label?.toLowerCase() === typed.trim().toLowerCase();
      choose(at >= 0 ? found[at].key : only ? found[0].key : typed.trim());
    } else if (event.key === "Escape") {
      if (!open) setTyped("");
      close();
    }
  };
  return html`
    <form class="search" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label for="search">${say("search.label", { noun: summary.noun ?? say("item.noun") })}</label>
      <div class="combobox">
        <${Sign} name="search" />
        <input
          id="search"
          type="text"
          role="combobox"
          autocomplete="off"
          autocapitalize="off"
          spellcheck=${false}
          dir="auto"
          aria-autocomplete="list"
          aria-expanded=${open}
          aria-controls="search-keys"
          aria-activedescendant=${at >= 0 ? `search-key-${at}` : undefined}
          value=${typed}
          onInput=${(event) => {
            setTyped(event.target.value);
            setWanted(true);
            setActive(-1);
          }}
          onKeyDown=${press}
          onBlur=${close}
        />
        <ul
          id="search-keys"
          role="listbox"
          aria-label=${say("search.keys")}
          hidden=${!open}
          ref=${list}
        >
          ${found.map(
            ({ key, label, status }, index) => html`
              <li
                key=${key}
                id="search-key-${index}"
                role="option"
                aria-selected=${index === at}
                onMouseDown=${(event) => event.preventDefault()}
                onClick=${() => choose(key)}
              >
                <bdi>${key}</bdi>
                ${label !== null && label !== key && html`<bdi class="label">${label}</bdi>`}
                <${Outcome} status=${status} />
              </li>
            `,
          )}
        </ul>
      </div>
      <span class="unseen" role="status">
        ${open ? say("search.found", { n: found.length }) : ""}
      </span>
    </form>
  `;
}
