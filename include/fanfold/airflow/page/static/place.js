// The current tab or item, kept in the URL fragment, so that "back" works.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { parentDocument } from "./airflow.js";

export const TABS = ["batches", "failures", "dataset", "report", "compare"];

/** The link to the view of an item. */
export const itemHref = (key) => `#item=${encodeURIComponent(key)}`;

/** Go to the view of an item. */
export const openItem = (key) => {
  location.hash = itemHref(key);
};

function read(lastTab) {
  const hash = location.hash.slice(1);
  if (hash.startsWith("item=")) {
    try {
      return { tab: lastTab, item: decodeURIComponent(hash.slice(5)) };
    } catch {
      return { tab: lastTab, item: hash.slice(5) };
    }
  }
  return { tab: TABS.includes(hash) ? hash : TABS[0], item: null };
}

const SAVED = `fanfold${location.search}`;
const JUST_NOW = 15_000; // milliseconds

/** Whether the parent page was reloaded, which resets the URL of the iframe. */
function reloadedAround() {
  if (!parentDocument()) return false;
  const { performance } = window.parent;
  const [navigation] = performance.getEntriesByType("navigation");
  return navigation?.type === "reload" && performance.now() < JUST_NOW;
}

/** Restore the tab or item after a reload of Airflow's page. */
function restore() {
  const saved = sessionStorage.getItem(SAVED);
  if (!location.hash && saved && reloadedAround()) location.replace(saved);
}

/** The open tab, and the item in front of it, if any. */
export function usePlace() {
  const last = useRef(TABS[0]);
  const [place, setPlace] = useState(() => {
    restore();
    return read(last.current);
  });
  last.current = place.tab;
  useEffect(() => {
    const moved = () => {
      sessionStorage.setItem(SAVED, location.hash);
      setPlace(read(last.current));
    };
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  return place;
}
