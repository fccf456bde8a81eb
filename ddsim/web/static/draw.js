// Draws answers into the page. Every string of an answer goes through textContent or an attribute that runs nothing.

import { clear, lay } from "./masonry.js";
import { called, percent, t } from "./texts.js";

const SHOWN_CHIPS = 8;

export const $ = (id) => document.getElementById(id);

const copy = (id) => $(id).content.firstElementChild.cloneNode(true);
const likeLink = (uri) => `search?${new URLSearchParams({ like: uri })}`;

export function button(words, act, kind = "button second small") {
  const made = document.createElement("button");
  made.type = "button";
  made.className = kind;
  made.textContent = words;
  made.addEventListener("click", act);
  return made;
}

/** A sentence with what to do, and buttons that do it: [words, act] each. */
export function notice({ message, hint }, actions = []) {
  const made = copy("notice-template");
  made.querySelector(".notice-message").textContent = message;
  made.querySelector(".notice-hint").textContent = hint ?? "";
  made.querySelector(".notice-actions").replaceChildren(
    ...actions.map(([words, act], position) => button(words, act, position ? "button second small" : "button small")),
  );
  return made;
}

/** Show these products; or add those after the first so many, which are shown already. */
export function cards(neighbours, shown = 0) {
  const list = $("grid");
  const shares = neighbours.map((one) => percent(one.score));
  const made = neighbours.slice(shown).map((item, position) => card(item, shown + position, shares));
  if (shown) list.append(...made);
  else {
    clear();
    list.replaceChildren(...made);
    list.classList.remove("fresh");
    void list.offsetWidth; // so that the animation starts again
    list.classList.add("fresh");
  }
  lay(made);
  $("legend").hidden = new Set(shares).size < 2;
}

export function bones(count) {
  clear();
  const made = Array.from({ length: count }, () => copy("bone-template"));
  $("grid").replaceChildren(...made);
  lay(made);
}

function card(item, position, shares) {
  const made = copy("card-template");
  const part = (name) => made.querySelector(`.card-${name}`);
  const image = made.querySelector("img");
  image.loading = position < 8 ? "eager" : "lazy";
  image.width = item.width;
  image.height = item.height;
  image.sizes = "(min-width: 48rem) 13rem, 44vw";
  image.srcset = `${item.thumbnail} ${item.width}w, ${item.thumbnail.replace("thumbnails/320/", "thumbnails/640/")} ${item.width * 2}w`;
  image.src = item.thumbnail;
  part("picture").href = item.picture;
  part("picture").setAttribute("aria-label", t("enlarge", { name: item.name }));
  part("name").textContent = item.name;
  part("category").textContent = item.label;
  part("price").textContent = item.price ?? "";
  // Equal scores say nothing: one stands where it is another than that of the card before.
  part("score").hidden = new Set(shares).size < 2 || shares[position] === shares[position - 1];
  made.querySelector("meter").value = item.score;
  part("percent").textContent = shares[position];
  const shop = shopLink(item);
  if (shop) part("more").before(shop);
  fillMore(part("more"), item);
  return made;
}

/** Where a product is sold; null where nobody says. */
export function shopLink(item) {
  if (!/^https?:\/\//i.test(item.url ?? "")) return null;
  const made = copy("shop-template");
  made.href = item.url;
  return made;
}

/** What searches for others like a product. */
export function moreLink(item) {
  return fillMore($("card-template").content.querySelector(".card-more").cloneNode(true), item);
}

function fillMore(link, item) {
  link.href = likeLink(item.uri);
  link.dataset.like = item.uri;
  link.querySelector(".card-again").textContent = item.name;
  return link;
}

/**
 * Category chips: all, then what the photo may show with its probability, then the catalogue's others.
 * Chips stay the same elements from answer to answer, so that the keyboard's focus stays where it is.
 */
export function chips(answer, known) {
  const shares = new Map(answer.categories.map((one) => [one.name, one.probability]));
  const there = new Set(known.map((one) => one.name));
  const names = [...shares.keys()].filter((name) => there.has(name));
  names.push(...[...there].filter((name) => !shares.has(name)));
  const pressed = new Set(answer.searched);
  const place = $("chips");
  const before = new Map([...place.querySelectorAll("[data-category]")].map((one) => [one.dataset.category, one]));
  const made = [chip(place.querySelector("[data-all]"), t("all"), null, pressed.size === 0, { all: "" })];
  names.forEach((name, position) => {
    const one = chip(before.get(name), name, shares.get(name), pressed.has(name), { category: name });
    one.hidden = position >= SHOWN_CHIPS && !pressed.has(name) && !place.classList.contains("open");
    made.push(one);
  });
  const hidden = made.filter((one) => one.hidden).length;
  if (hidden) made.push(opener(place, hidden));
  const focused = document.activeElement;
  const scrolled = place.scrollLeft;
  place.replaceChildren(...made);
  place.scrollLeft = scrolled;
  if (made.includes(focused)) focused.focus({ preventScroll: true });
}

function chip(old, name, share, isPressed, data) {
  const made = old ?? button("", () => {}, "chip");
  const word = document.createElement("span");
  word.className = "chip-name";
  word.textContent = "category" in data ? called(name) : name;
  made.replaceChildren(word);
  if (share !== undefined && share !== null) {
    const figure = document.createElement("span");
    figure.className = "chip-share";
    figure.textContent = share > 0 && share < 0.005 ? `<${percent(0.01)}` : percent(share);
    made.append(" ", figure);
  }
  made.setAttribute("aria-pressed", String(isPressed));
  Object.assign(made.dataset, data);
  return made;
}

/** Show at once what will be searched. */
export function press(isPressed) {
  for (const one of $("chips").querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", String(isPressed(one)));
}

function opener(place, hidden) {
  return button(t("chips_more", { count: hidden }), (event) => {
    place.classList.add("open");
    const first = place.querySelector("[hidden]");
    for (const one of place.children) one.hidden = false;
    first.focus();
    event.currentTarget.remove();
  }, "chip");
}

/** Size the photo's box to the picture, so that nothing moves when the picture comes. */
export function frame(width, height) {
  const photo = $("photo");
  photo.hidden = false;
  photo.style.aspectRatio = `${width} / ${height}`;
  photo.classList.toggle("wide", width >= height);
  photo.classList.toggle("tall", width < height);
}
