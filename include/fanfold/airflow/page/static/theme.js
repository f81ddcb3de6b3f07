// Follows Airflow's dark or light theme, a class of <html> in its page.

import { parentDocument } from "./airflow.js";

// Colours taken from Airflow, where an administrator can change them; theme.css has fallbacks.
const TAKEN = {
  "--bg": "bg",
  "--bg-muted": "bg-muted",
  "--fg": "fg",
  "--fg-muted": "fg-muted",
  "--border": "border",
  "--border-strong": "border-emphasized",
  "--brand": "brand-solid",
  "--brand-fg": "brand-contrast",
};
const own = document.documentElement;

/** Apply the theme of Airflow, or of the system outside of Airflow, and follow its changes. */
export function followTheme() {
  const parent = parentDocument();
  if (parent) {
    const look = () => apply(parent.documentElement.classList.contains("dark"), parent);
    new MutationObserver(look).observe(parent.documentElement, { attributeFilter: ["class"] });
    look();
  } else {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const look = () => apply(dark.matches, null);
    dark.addEventListener("change", look);
    look();
  }
}

function apply(dark, parent) {
  own.dataset.theme = dark ? "dark" : "light";
  own.style.colorScheme = own.dataset.theme;
  const theirs = parent && parent.defaultView.getComputedStyle(parent.documentElement);
  for (const [ours, name] of Object.entries(TAKEN)) {
    const value = theirs?.getPropertyValue(`--chakra-colors-${name}`).trim();
    if (value) own.style.setProperty(ours, value);
    else own.style.removeProperty(ours);
  }
}
