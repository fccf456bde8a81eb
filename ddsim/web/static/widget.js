// Search by photo in somebody else's page: one script tag, see the README. The server puts `settings` before this
// (ddsim/web/looks.py): {texts, errors, accent, onAccent, limit}. Everything happens in a shadow tree, so that neither
// page's styles reach the other's; every string of an answer goes through textContent or an attribute that runs nothing.

const script = document.currentScript;
const base = new URL("./", script.src);
const number = Math.min(Math.max(Number.parseInt(script.dataset.results ?? "8", 10) || 8, 1), 48);

const STYLE = `
:host { display: block; font: inherit; color: inherit; container-type: inline-size; }
* { box-sizing: border-box; }
.button { display: inline-flex; align-items: center; min-height: 44px; padding: 8px 20px; border: 0; border-radius: 999px;
  background: ${settings.accent}; color: ${settings.onAccent}; font: inherit; font-weight: 600; cursor: pointer; }
.button[aria-busy="true"] { opacity: 0.6; cursor: progress; }
.button:focus-visible, a:focus-visible { outline: 3px solid ${settings.accent}; outline-offset: 2px; }
.say { margin: 12px 0 0; }
.say:empty, .more:empty { display: none; }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(9rem, 44%), 1fr)); gap: 16px; margin: 16px 0 0; padding: 0; list-style: none; }
ul:empty { display: none; }
a { color: inherit; text-decoration: none; }
img { display: block; width: 100%; height: auto; max-height: 24rem; object-fit: cover; border-radius: 10px; }
.name, .price { unicode-bidi: plaintext; }
.name { display: block; margin-top: 6px; font-weight: 600; overflow-wrap: anywhere; }
.price { opacity: 0.75; font-size: 0.875em; }
.more { margin: 16px 0 0; }
.more a { text-decoration: underline; }
`;

const t = (key, values = {}) => {
  const text = settings.texts[key] ?? settings.texts[`${key}_${values.count === 1 ? "one" : "other"}`];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
};

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const host = element("div", { lang: settings.language, dir: "ltr" }); // as its words run, whatever the shop's do
const root = host.attachShadow({ mode: "open" });
const sheet = new CSSStyleSheet(); // unlike a style element, no page's policy forbids it
sheet.replaceSync(STYLE);
root.adoptedStyleSheets = [sheet];

const file = element("input", { type: "file", accept: "image/*", hidden: true });
const button = element("button", { type: "button", className: "button", textContent: t("widget_button") });
const say = element("p", { className: "say", role: "status" });
const list = element("ul", { ariaLabel: t("similar_pictures") });
const more = element("p", { className: "more" });
root.append(file, button, say, list, more);
script.after(host);

button.addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  const [photo] = file.files;
  file.value = ""; // so that the same photo can be chosen once more
  if (photo) run(photo);
});

async function run(photo) {
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  list.replaceChildren();
  more.replaceChildren();
  say.textContent = t("searching");
  try {
    show(await search(photo));
  } catch (error) {
    say.textContent = error.words ?? `${t("offline_message")} ${t("offline_hint")}`;
  } finally {
    button.ariaBusy = "false";
  }
}

async function search(photo) {
  if (photo.size === 0) throw problem({ code: "empty" });
  if (photo.size > settings.limit) throw problem({ code: "too_large" });
  const form = new FormData();
  form.append("picture", photo, photo.name || "photo");
  form.append("k", number);
  const answer = await fetch(new URL("api/search", base), { method: "POST", body: form, credentials: "omit" });
  const content = await answer.json().catch(() => ({}));
  if (content.neighbours) return content;
  throw problem(content.error ?? { code: answer.status === 413 ? "too_large" : "" });
}

function problem({ code, message, hint }) {
  const words = settings.errors[code] ?? [message ?? t("strange_message"), hint ?? t("strange_hint")];
  return Object.assign(new Error(code), { words: words.join(" ") });
}

function show(found) {
  say.textContent = found.nothing_similar ? t("nothing_aloud") : t("found", { count: found.neighbours.length });
  list.replaceChildren(...found.neighbours.map(card));
  const all = element("a", { href: new URL(found.link, base).href, target: "_blank", rel: "noopener" });
  all.textContent = t("widget_powered");
  more.replaceChildren(all);
}

function card(item) {
  const sold = /^https?:\/\//i.test(item.url ?? "");
  const href = sold ? item.url : new URL(`./?${new URLSearchParams({ like: item.uri })}`, base).href;
  const image = element("img", { alt: "", loading: "lazy", width: item.width, height: item.height });
  image.src = new URL(item.thumbnail, base).href;
  const name = element("span", { className: "name", textContent: item.name });
  const price = element("span", { className: "price", textContent: item.price ?? "" });
  const link = element("a", { href }, image, name, price);
  if (!sold) Object.assign(link, { target: "_blank", rel: "noopener" });
  return element("li", {}, link);
}
