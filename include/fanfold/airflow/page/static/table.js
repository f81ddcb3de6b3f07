// Tables in a scrollable region that can be focused and scrolled with the keyboard.

import { html } from "./vendor/preact.js";

/** A header of a column of numbers. */
export const numeric = (title) => html`<th scope="col" class="number">${title}</th>`;

/** A header that only screen readers announce. */
export const unseen = (title) => html`<th scope="col"><span class="unseen">${title}</span></th>`;

const cell = (title) => (typeof title === "string" ? html`<th scope="col">${title}</th>` : title);

/** The head of a table. `titles`: texts or `<th>` elements; false for a column that is not shown. */
export const Head = ({ titles }) => html`<thead><tr>${titles.map(cell)}</tr></thead>`;

/** `children`: the rows; `tall`: whether the region is limited to the height of the window. */
export function Table({ label, titles, look, tall = false, children }) {
  return html`
    <div class="scroll ${tall ? "tall" : ""}" role="region" tabindex="0" aria-label=${label}>
      <table class=${look}><${Head} titles=${titles} /><tbody>${children}</tbody></table>
    </div>
  `;
}
