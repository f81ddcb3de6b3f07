// Formats numbers, times, durations and sizes for the language.

import { html } from "./vendor/preact.js";
import { language, say } from "./text.js";

const whole = new Intl.NumberFormat(language);
const short = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const share = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(language, { signDisplay: "exceptZero" });
const rough = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
const signedShare = new Intl.NumberFormat(language, {
  style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero",
});
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const minute = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });

export const NONE = "–";

export const count = (value) => (value === null ? NONE : whole.format(value));
export const rate = (value) => (value === null ? NONE : short.format(value));
const LEAST = 0.001; // of a share that is written as such

/** A share in percent; never 0 % or 100 % for values that are only close. */
export function percent(value) {
  if (value > 0 && value < LEAST) return `<${share.format(LEAST)}`;
  if (value < 1 && value > 1 - LEAST) return `>${share.format(1 - LEAST)}`;
  return share.format(value);
}

/** A number with about four digits, such as a mean. */
export const about = (value) =>
  Math.abs(value) >= 1000 ? whole.format(Math.round(value)) : rough.format(value);

/** A relative change in percent. */
export const signedPercent = (value) => (value === null ? NONE : signedShare.format(value));

export const difference = (value) => (value === null ? NONE : signed.format(value));

function unit(value, name, digits = 0) {
  const style = { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits };
  return new Intl.NumberFormat(language, style).format(value);
}

/** Seconds in the two largest units: "1 hr 5 min", "12 sec", "0.4 sec". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 10) return unit(seconds, "second", 1);
  const rounded = Math.round(seconds);
  const parts = [
    [Math.floor(rounded / 86400), "day"],
    [Math.floor(rounded / 3600) % 24, "hour"],
    [Math.floor(rounded / 60) % 60, "minute"],
    [rounded % 60, "second"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, name]) => unit(value, name))
    .join(" ");
}

/** A size in bytes, in the unit with one to three digits. */
export function bytes(size) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let step = 0;
  while (size >= 1000 && step < units.length - 1) [size, step] = [size / 1000, step + 1];
  return unit(size, units[step], step ? 1 : 0);
}

/** The cost of functions: billed seconds times GB of memory. */
export const gbSeconds = (value) => say("gb_seconds", { n: short.format(value) });

const sameDay = (a, b) => a.toDateString() === b.toDateString();

/** A time as text; without the date if it is today. */
export function momentText(iso) {
  const date = new Date(iso);
  return (sameDay(date, new Date()) ? clock : minute).format(date);
}

/**
 * A time in the browser's time zone, with UTC in the tooltip; to the second, to the minute, or
 * without the date if it is today (`brief`).
 */
export function Moment({ iso, brief = false, toMinute = false }) {
  if (!iso) return NONE;
  const text = brief ? momentText(iso) : (toMinute ? minute : full).format(new Date(iso));
  return html`<time datetime=${iso} title=${new Date(iso).toISOString()}>${text}</time>`;
}
