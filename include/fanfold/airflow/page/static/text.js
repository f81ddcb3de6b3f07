// Every sentence of the page, in the browser's language.

import { sentences as english } from "./text.en.js";
import { sentences as chinese } from "./text.zh.js";

const known = { en: english, zh: chinese };

function preferred() {
  for (const tag of navigator.languages ?? [navigator.language]) {
    const base = tag.toLowerCase().split("-")[0];
    if (base in known) return base;
  }
  return "en";
}

const chosen = preferred();

/** The language as a tag for <html lang> and for Intl. */
export const language = chosen === "zh" ? "zh-CN" : "en";

const sentences = known[chosen];
const numbers = new Intl.NumberFormat(language);
const plurals = new Intl.PluralRules(language);

/** Whether there is a sentence of that name. */
export const has = (key) => Object.hasOwn(sentences, key);

/**
 * The sentence of that name, with `{name}` replaced by the values; numbers are written as people
 * of that language do. A sentence with several forms takes the one that fits the value `n`.
 */
export function say(key, values = {}) {
  if (!has(key)) throw new Error(`There is no sentence "${key}" in ${language}.`);
  let sentence = sentences[key];
  if (typeof sentence !== "string") sentence = sentence[plurals.select(values.n)] ?? sentence.other;
  return sentence.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : String(value);
  });
}
