// The texts of the page, in the language of the browser: section "page" of the catalogue.

import catalogue from "./messages.json" with { type: "json" };

const LANGUAGES = ["en", "zh"]; // as the catalogue orders the two forms of a text

function preferred() {
  const tags = navigator.languages ?? [navigator.language];
  return tags.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => LANGUAGES.includes(tag));
}

const chosen = preferred() ?? "en";

/** The language as a tag for <html lang> and for Intl. */
export const language = chosen === "zh" ? "zh-CN" : "en";

const texts = catalogue.page;
const numbers = new Intl.NumberFormat(language);
const plurals = new Intl.PluralRules(language);

/** Whether the catalogue has a text with that id. */
export const has = (id) => Object.hasOwn(texts, id);

/**
 * The text with that id. `{name}` is replaced by the parameter, numbers are formatted for the
 * language. The parameter `n` selects among the plural forms of a text.
 */
export function say(id, params = {}) {
  if (!has(id)) throw new Error(`There is no text "${id}".`);
  let text = texts[id][LANGUAGES.indexOf(chosen)];
  if (typeof text !== "string") text = text[plurals.select(params.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = params[name];
    return typeof value === "number" ? numbers.format(value) : String(value);
  });
}
