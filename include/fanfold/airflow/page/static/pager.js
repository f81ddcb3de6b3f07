// The way through what is shown a page at a time.

import { html } from "./vendor/preact.js";
import { say } from "./text.js";

/** Buttons to the page before and after; each is off where its handler is not given. */
export function Pager({ range, onBack, onNext }) {
  return html`
    <div class="pager">
      <span role="status">${range}</span>
      <button type="button" class="button" disabled=${!onBack} onClick=${onBack || undefined}>
        ${say("page.back")}
      </button>
      <button type="button" class="button" disabled=${!onNext} onClick=${onNext || undefined}>
        ${say("page.next")}
      </button>
    </div>
  `;
}
