// Requests to the page's API: responses, rejections and connection errors.

import { language } from "./text.js";

const base = new URL("api/", document.baseURI);
const TIMEOUT = 10_000; // milliseconds

/** The server rejected the request; `code` is a code of the API. */
export class Refused extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
    this.detail = detail;
  }
}

/** No response, or one of a proxy in front of Airflow. */
export class Unreachable extends Error {}

/** The URL of a path of the API, for links and frames. */
export const address = (path) => new URL(path, base).href;

/** The API's path of a run. */
export const runAddress = (dag, run) =>
  `dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;

/** A query string; names without a value are omitted, and of a list each value is given. */
export function query(values) {
  const given = Object.entries(values)
    .flatMap(([name, value]) => [value].flat().map((each) => [name, each]))
    .filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** GET; returns the body as text, for `parse`. `patience`: milliseconds to wait for it. */
export const get = (path, signal, patience) => send(path, { signal, patience });

/** POST, or another method that changes something; returns the response. */
export async function post(path, body, method = "POST") {
  const headers = { "content-type": "application/json" };
  return parse(await send(path, { method, headers, body: JSON.stringify(body) }));
}

/** Parse JSON without rounding: integers too large for a double keep all digits. */
export function parse(text) {
  if (!JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source)
      ? JSON.rawJSON(context.source)
      : value,
  );
}

async function send(path, { signal, patience = TIMEOUT, ...options }) {
  const stopper = new AbortController();
  const stop = () => stopper.abort();
  const timer = setTimeout(stop, patience);
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(address(path), {
      ...options,
      signal: stopper.signal,
      // The API translates reasons into the language of the page.
      headers: { accept: "application/json", "accept-language": language, ...options.headers },
    });
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text);
    return text;
  } catch (error) {
    throw error instanceof Refused ? error : new Unreachable(String(error));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function refusal(status, text) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return new Unreachable(`HTTP ${status}`); // Not ours: a gateway, or a server that is starting.
  }
  const detail = typeof answer?.detail === "string" ? answer.detail : `HTTP ${status}`;
  const unnamed = { 401: "no_login", 403: "no_right" }[status] ?? "refused";
  return new Refused(answer?.code ?? unnamed, detail);
}
