// The open tab or item, kept in the URL fragment: "back" works, and Airflow's address has it, too.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { parentDocument } from "./airflow.js";

export const TABS = ["batches", "failures", "dataset", "report", "compare"];

/** The link to a tab; `detail` is what it shows first, such as `invalid` of the failures. */
export const tabHref = (tab, detail = "") => `#${tab}${detail && `=${encodeURIComponent(detail)}`}`;

/** Go to a tab, as its link does. */
export const openTab = (...to) => {
  location.hash = tabHref(...to);
};

/** The link to the view of an item. */
export const itemHref = (key) => `#item=${encodeURIComponent(key)}`;

/** Go to the view of an item. */
export const openItem = (key) => {
  location.hash = itemHref(key);
};

/** The place that the fragment names; an item is in front of the `last` tab. */
function read(last) {
  // Without these two, the value of a form's field is any text.
  const written = location.hash.slice(1).replace(/[+&]/g, encodeURIComponent);
  const [[name, value] = []] = new URLSearchParams(written);
  if (name === "item") return { ...last, item: value };
  return TABS.includes(name) ? { tab: name, detail: value, item: null } : FIRST;
}

const FIRST = { tab: TABS[0], detail: "", item: null };

/** Airflow's window around the iframe, or null. */
const around = () => parentDocument() && window.parent;

/** Write the fragment into the address of Airflow's page. */
function show() {
  const airflow = around();
  if (!airflow) return;
  const address = new URL(airflow.location.href);
  address.hash = location.hash;
  airflow.history.replaceState(airflow.history.state, "", address);
}

/** Go where the address of Airflow's page leads. */
function follow() {
  const { hash } = around().location;
  if (hash && hash !== location.hash) location.replace(hash);
}

/** The open tab, what it shows first (`detail`), and the item in front of it, if any. */
export function usePlace() {
  const last = useRef(FIRST);
  const [place, setPlace] = useState(() => {
    if (!location.hash && around()) follow();
    return read(last.current);
  });
  last.current = place;
  useEffect(() => {
    const airflow = around();
    const moved = () => {
      show();
      setPlace(read(last.current));
    };
    const leave = () => airflow?.removeEventListener("hashchange", follow);
    window.addEventListener("hashchange", moved);
    window.addEventListener("pagehide", leave);
    airflow?.addEventListener("hashchange", follow);
    return () => {
      leave();
      window.removeEventListener("hashchange", moved);
      window.removeEventListener("pagehide", leave);
    };
  }, []);
  return place;
}
