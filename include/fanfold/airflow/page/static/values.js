// Keys and values of the source: shown as text, in their own direction, never wider than their box.

import { html } from "./vendor/preact.js";
import { NONE } from "./format.js";
import { itemHref } from "./place.js";
import { language, say } from "./text.js";

// Characters.
const TITLE_LENGTH = 300; // that a tooltip shows
const KEY_LENGTH = 32; // of a key that a cell shows as it is
const LONG = 600; // that fill a few lines

/** A value of a row or record as text. */
export function valueText(value) {
  if (value === null || value === undefined) return NONE;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A noun at the beginning of a heading. */
export const capital = (text) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/** A value in one line, truncated to the available width. */
export function Clamped({ value }) {
  if (value === null || value === undefined) return html`<span class="quiet">${NONE}</span>`;
  const text = valueText(value);
  const title = text.length > 30 ? text.slice(0, TITLE_LENGTH) : undefined;
  // Long values would slow down the page, although the truncated part is not visible.
  return html`<span class="clamp" dir="auto" title=${title}>${text.slice(0, TITLE_LENGTH)}</span>`;
}

/** The end of a long path or URI: its beginning is often that of all others. */
export function shortKey(key) {
  if (key.length <= KEY_LENGTH) return key;
  const within = key.indexOf("/", key.length - KEY_LENGTH);
  const from = within < 0 ? key.lastIndexOf("/") : within;
  return from > 0 ? `…${key.slice(from)}` : key;
}

/** A key as a link to the view of its item. */
export function ItemLink({ itemKey }) {
  return html`
    <a class="key clamp" href=${itemHref(itemKey)} title=${itemKey.slice(0, TITLE_LENGTH)}>
      <bdi>${shortKey(itemKey)}</bdi>
    </a>
  `;
}

/** A whole text; a long one in a scrollable region. */
export function Whole({ text, label }) {
  if (text.length < LONG) return html`<span class="wrap value" dir="auto">${text}</span>`;
  return html`
    <div class="scroll long wrap value" role="region" tabindex="0" aria-label=${label} dir="auto">
      ${text}
    </div>
  `;
}

/** A reason, as returned by the API. */
export function Reason({ text }) {
  if (!text) return html`<span class="quiet">${say("reason.none")}</span>`;
  return html`<span class="wrap" dir="auto">${text}</span>`;
}

/** A labelled value in a list of facts; `name`: the id of its label. */
export function Fact({ name, children }) {
  return html`<div><dt>${say(name)}</dt><dd class="wrap">${children}</dd></div>`;
}

/** A labelled selection among `options`, pairs of value and text. */
export function Choice({ label, unseen = false, value, options, onChange }) {
  return html`
    <label class="choice">
      <span class=${unseen ? "unseen" : undefined}>${label}</span>
      <select value=${value} onChange=${(event) => onChange(event.target.value)}>
        ${options.map(
          ([each, text]) => html`<option key=${each} value=${each} selected=${each === value}>${text}</option>`,
        )}
      </select>
    </label>
  `;
}
