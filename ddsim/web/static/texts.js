// What the server wrote into the page: its words, and what else scripts need to begin with.

export const boot = JSON.parse(document.getElementById("boot").textContent);

/** A text of the page's language, filled in; with a count, the one for that number. */
export function t(key, values = {}) {
  const text = boot.texts[key] ?? boot.texts[`${key}_${values.count === 1 ? "one" : "other"}`];
  return text.replace(/\{(\w+)\}/g, (_, name) => isolated(values[name]));
}

const TURNS = /[\u0590-\u08ff\u202a-\u202e\ufb1d-\ufdff\ufe70-\ufeff]/;

/** Words from right to left, kept from turning those around them. */
export const isolated = (words) => (TURNS.test(words) && !String(words).includes("\u2068") ? `\u2068${words}\u2069` : words);

export const percent = (share) => t("percent", { number: Math.round(share * 100) });

/** A category as people call it. */
export const called = (name) => boot.categories.find((one) => one.name === name)?.label ?? name;

/** An error in the page's language: {code, message, hint}. */
export function told({ code, message, hint }) {
  const [mine, more] = boot.errors[code] ?? [message, hint];
  return { code, message: mine, hint: more };
}
