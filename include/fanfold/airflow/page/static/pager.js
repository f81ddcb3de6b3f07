// Navigation between pages of rows.

import { html } from "./vendor/preact.js";
import { say } from "./text.js";

/** Buttons for the previous and the next page; disabled without their handler. */
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
