// Icons that distinguish states and outcomes without colour.

import { html } from "./vendor/preact.js";

// Strokes in a view box of 16 by 16.
const STROKES = {
  check: "M3 8.5 6.5 12 13 4.5",
  cross: "M4 4 12 12 M12 4 4 12",
  none: "M8 2.5a5.5 5.5 0 1 0 .01 0 M4 12 12 4",
  bang: "M8 2.5V9.5 M8 12.8V13.2",
  dots: "M3.4 8H3.6 M7.9 8H8.1 M12.4 8H12.6",
  play: "M5 3.5 12 8 5 12.5Z",
  clock: "M8 2.5a5.5 5.5 0 1 0 .01 0 M8 5V8L10.2 9.8",
  pause: "M5.5 3.5V12.5 M10.5 3.5V12.5",
  again: "M12.5 5.5A5 5 0 1 0 13 9 M13 2.5V6H9.5",
  up: "M8 13V3.5 M4 7.5 8 3.5 12 7.5",
  skip: "M3.5 4 8 8 3.5 12 M8.5 4 13 8 8.5 12",
  dash: "M3.5 8H12.5",
  half: "M3 8.5 5.5 11 9.5 5.5 M12.8 4V8.5 M12.8 11.3V11.7",
  search: "M7 2.5a4.5 4.5 0 1 0 .01 0 M10.4 10.4 13.8 13.8",
  down: "M8 2.5V10.5 M4.5 7.5 8 11 11.5 7.5 M3 13.5H13",
  sorted: "M4.5 6.5 8 3 11.5 6.5 M4.5 9.5 8 13 11.5 9.5",
  ascending: "M4.5 10 8 6.5 11.5 10",
  descending: "M4.5 6.5 8 10 11.5 6.5",
};

/** An icon; the text beside it says the same, so it is hidden from screen readers. */
export function Sign({ name }) {
  return html`
    <svg class="sign" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d=${STROKES[name]} />
    </svg>
  `;
}
