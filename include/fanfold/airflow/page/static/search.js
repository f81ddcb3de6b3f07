// Search by key: a combobox with suggestions (ARIA Authoring Practices Guide).

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { get, query } from "./api.js";
import { useHere } from "./here.js";
import { openItem } from "./place.js";
import { Sign } from "./signs.js";
import { say } from "./text.js";

const PAUSE = 150; // milliseconds without a key press, before we ask

/** Keys that begin with the typed text; empty without text. */
function useSuggestions(home, prefix) {
  const [keys, setKeys] = useState([]);
  useEffect(() => {
    if (!prefix) {
      setKeys([]);
      return undefined;
    }
    const stopper = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const answer = JSON.parse(
          await get(`${home}/suggestions${query({ prefix })}`, stopper.signal),
        );
        if (!stopper.signal.aborted) setKeys(answer.keys);
      } catch {
        // Without suggestions the whole key can still be typed.
        if (!stopper.signal.aborted) setKeys([]);
      }
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stopper.abort();
    };
  }, [home, prefix]);
  return keys;
}

export function Search() {
  const { home, summary } = useHere();
  const [typed, setTyped] = useState("");
  const [wanted, setWanted] = useState(false);
  const [active, setActive] = useState(-1);
  const list = useRef(null);
  const keys = useSuggestions(home, typed.trim());
  const open = wanted && keys.length > 0;
  const at = open && active < keys.length ? active : -1;

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
    if (step && keys.length > 0) {
      event.preventDefault();
      setWanted(true);
      // One position more than keys: between the last and the first is the typed text.
      const places = keys.length + 1;
      setActive(((at + 1 + step + places) % places) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(at >= 0 ? keys[at] : typed.trim());
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
          ${keys.map(
            (key, index) => html`
              <li
                key=${key}
                id="search-key-${index}"
                role="option"
                aria-selected=${index === at}
                onMouseDown=${(event) => event.preventDefault()}
                onClick=${() => choose(key)}
              >
                <bdi>${key}</bdi>
              </li>
            `,
          )}
        </ul>
      </div>
      <span class="unseen" role="status">
        ${open ? say("search.found", { n: keys.length }) : ""}
      </span>
    </form>
  `;
}
