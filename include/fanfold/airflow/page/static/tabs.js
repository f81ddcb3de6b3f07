// Tabs with panels (ARIA Authoring Practices Guide).

import { html, useRef } from "./vendor/preact.js";

/**
 * A row of tabs. `tabs`: pairs of name and title; `open`: the name of the open tab, whose panel is the
 * caller's `<TabPanel>`. Arrow keys, Home and End move between the tabs and open them.
 */
export function Tabs({ tabs, open, label, onOpen }) {
  const row = useRef(null);
  const move = (event) => {
    const at = tabs.findIndex(([name]) => name === open);
    const to = {
      ArrowRight: (at + 1) % tabs.length,
      ArrowLeft: (at + tabs.length - 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    row.current.children[to].focus();
    onOpen(tabs[to][0]);
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} ref=${row} onKeyDown=${move}>
      ${tabs.map(
        ([name, title]) => html`
          <button
            key=${name}
            type="button"
            role="tab"
            id="tab-${name}"
            aria-selected=${name === open}
            aria-controls=${name === open ? `panel-${name}` : undefined}
            tabindex=${name === open ? 0 : -1}
            onClick=${() => onOpen(name)}
          >
            ${title}
          </button>
        `,
      )}
    </div>
  `;
}

/** The panel of a tab. */
export function TabPanel({ name, children }) {
  return html`
    <div class="panel" role="tabpanel" id="panel-${name}" aria-labelledby="tab-${name}" tabindex="0">
      ${children}
    </div>
  `;
}
