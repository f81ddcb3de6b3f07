// Formats numbers, times, durations and sizes for the language.

import { html } from "./vendor/preact.js";
import catalogue from "./messages.json" with { type: "json" };
import { language, say } from "./text.js";

const whole = new Intl.NumberFormat(language);
const short = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const decimal = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(language, { signDisplay: "exceptZero" });
const rough = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
const signedShare = new Intl.NumberFormat(language, {
  style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero",
});
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const minute = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });

export const NONE = "–";

export const count = (value) => (value === null ? NONE : whole.format(value));
export const rate = (value) => (value === null ? NONE : short.format(value));
const LEAST = 0.001; // of a share that is written as such

/** A share (0 to 1) in percent with one decimal; never 0% or 100% for what is only close. */
export function percent(value) {
  if (value > 0 && value < LEAST) return "<0.1%";
  if (value < 1 && value > 1 - LEAST) return ">99.9%";
  return value === 0 || value === 1 ? `${100 * value}%` : `${decimal.format(100 * value)}%`;
}

/** A number with about four digits, such as a mean. */
export const about = (value) =>
  Math.abs(value) >= 1000 ? whole.format(Math.round(value)) : rough.format(value);

/** A relative change in percent. */
export const signedPercent = (value) => (value === null ? NONE : signedShare.format(value));

export const difference = (value) => (value === null ? NONE : signed.format(value));

// The same rounding and units as of fanfold/formats.py, for logs, terminal and report.
const inUnit = (n, name) => catalogue.units[name][language === "en" ? 0 : 1].replace("{n}", n);
const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]; // prettier-ignore
const COARSE = [[60, 5], [600, 30], [3600, 60], [Infinity, 600]]; // prettier-ignore

/** Seconds in the two largest units: "0.4 s", "53 s", "2 min 5 s", "1 h 5 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 9.95) return inUnit(String(Math.round(Math.max(0, seconds) * 10) / 10), "s");
  let rest = Math.round(seconds);
  const parts = STEPS.map(([size, name]) => {
    const number = Math.floor(rest / size);
    rest %= size;
    return number > 0 ? inUnit(number, name) : "";
  });
  const first = parts.findIndex(Boolean);
  return parts.slice(first, first + 2).filter(Boolean).join(" ");
}

function coarse(seconds, rounded) {
  const [, step] = COARSE.find(([most]) => seconds <= most);
  return rounded(seconds / step) * step;
}

/** A range of seconds, coarse as an estimate is: "<5 s", "25 s – 40 s", "1 min – 2 min 30 s". */
export function durationRange(range) {
  if (!range) return NONE;
  const low = coarse(range.low, Math.floor);
  const high = coarse(range.high, Math.ceil);
  if (low === 0) return `<${duration(high)}`;
  return low === high ? duration(low) : `${duration(low)} – ${duration(high)}`;
}

/** A size in bytes, in the unit with one to three digits: "12 B", "3.4 kB", "200.1 MB". */
export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (Math.round(size * 10) >= 10000 && step < units.length - 1) [size, step] = [size / 1000, step + 1];
  return `${step ? decimal.format(size) : whole.format(size)} ${units[step]}`;
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
