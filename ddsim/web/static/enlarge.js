// A product's picture as large as the window: opened from its card, left by Escape, a button or a click beside it.

import { $, moreLink, shopLink } from "./draw.js";

const LARGE = 5; // pictures are at most 1600 pixels a side, thumbnails 320
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * Listen for what opens the dialogue.
 * @param {() => object[]} shown the products that are shown, best first
 */
export function enlarging(shown) {
  const dialog = $("enlarged");
  let at = 0;

  function show(position) {
    const items = shown();
    at = position;
    const item = items[at];
    const image = $("enlarged-image");
    image.removeAttribute("src"); // the one before must not stand beside this one's name
    image.width = item.width * LARGE;
    image.height = item.height * LARGE;
    image.src = item.picture;
    $("enlarged-name").textContent = item.name;
    $("enlarged-category").textContent = item.label;
    $("enlarged-price").textContent = item.price ?? "";
    $("enlarged-actions").replaceChildren(...[shopLink(item), moreLink(item)].filter(Boolean));
    $("enlarged-before").disabled = at === 0;
    $("enlarged-after").disabled = at === items.length - 1;
  }

  function step(by) {
    if (shown()[at + by]) show(at + by);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("#grid a.card-picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show([...$("grid").children].indexOf(link.closest(".card")));
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-like]")) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => event.key in STEPS && step(STEPS[event.key]));
  $("enlarged-before").addEventListener("click", () => step(-1));
  $("enlarged-after").addEventListener("click", () => step(1));
  $("enlarged-close").addEventListener("click", () => dialog.close());
  addEventListener("popstate", () => dialog.close());
}
