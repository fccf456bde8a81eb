// A box on the photo: drawn, dragged and resized by mouse or finger, moved and resized by keys.

import { percent, t } from "./texts.js";

const LEAST = 0.05;
const STEP = 0.02;
const HALF = [0.25, 0.25, 0.5, 0.5];
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, least, most) => Math.min(Math.max(value, least), most);

/**
 * The box. Its value is [x, y, width, height], shares of the photo from 0 to 1, or null.
 *
 * Tells its photo with events: "region-change" while it changes, "region-search" when it is to be searched (the pointer
 * was released, or Enter), "region-clear" on Escape.
 */
export class Region {
  #photo;
  #box;
  #value = null;
  #drag = null;

  constructor(photo, box) {
    this.#photo = photo;
    this.#box = box;
    photo.addEventListener("pointerdown", (event) => this.#press(event));
    photo.addEventListener("pointermove", (event) => this.#move(event));
    photo.addEventListener("pointerup", () => this.#release());
    photo.addEventListener("pointercancel", () => this.#cancel());
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  get value() {
    return this.#value && this.#value.map((share) => Number(share.toFixed(4)));
  }

  set value(value) {
    this.#value = value;
    this.#draw();
  }

  /** Put a box in the middle, where there is none, and go to it. */
  start() {
    this.value ??= [...HALF];
    this.#box.focus({ preventScroll: true });
    this.#tell("region-change");
  }

  #tell(what) {
    this.#photo.dispatchEvent(new Event(what));
  }

  #draw() {
    const value = this.#value;
    this.#box.hidden = !value;
    this.#photo.classList.toggle("choosing", Boolean(value));
    if (!value) return;
    ["left", "top", "width", "height"].forEach((side, i) => {
      this.#box.style[side] = `${value[i] * 100}%`;
    });
    const [left, top, width, height] = value.map(percent);
    this.#box.setAttribute("aria-label", t("part_where", { left, top, width, height }));
  }

  #at(event) {
    const area = this.#photo.getBoundingClientRect();
    return [
      within((event.clientX - area.left) / area.width, 0, 1),
      within((event.clientY - area.top) / area.height, 0, 1),
    ];
  }

  #press(event) {
    if (event.button !== 0 || this.#drag) return;
    // A finger on the photo scrolls the page, as everywhere, until somebody asked for a box.
    if (event.pointerType === "touch" && !this.#value) return;
    const from = this.#at(event);
    const before = this.#value && [...this.#value];
    const side = event.target.dataset?.side;
    if (side && before) this.#drag = { kind: "corner", anchor: opposite(side, before), before };
    else if (event.target === this.#box) this.#drag = { kind: "box", from, before };
    else this.#drag = { kind: "corner", anchor: from, before };
    this.#photo.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  #move(event) {
    if (!this.#drag) return;
    const { kind, from, anchor, before } = this.#drag;
    const to = this.#at(event);
    this.#drag.moved = true;
    this.value = kind === "box" ? moved(before, to[0] - from[0], to[1] - from[1]) : spanned(anchor, to);
    this.#tell("region-change");
  }

  #release() {
    if (!this.#drag) return;
    const { moved: hasMoved, before } = this.#drag;
    this.#drag = null;
    if (!hasMoved) return;
    if (this.#value[2] < LEAST || this.#value[3] < LEAST) {
      this.value = before; // a slip, no box
      this.#tell("region-change");
      return;
    }
    this.#box.focus({ preventScroll: true });
    this.#tell("region-search");
  }

  #cancel() {
    if (!this.#drag) return;
    this.value = this.#drag.before;
    this.#drag = null;
    this.#tell("region-change");
  }

  #key(event) {
    if (event.key === "Enter") this.#tell("region-search");
    else if (event.key === "Escape") this.#tell("region-clear");
    else if (event.key in KEYS) {
      const [right, down] = KEYS[event.key].map((way) => way * STEP);
      const [x, y, width, height] = this.#value;
      this.value = event.shiftKey
        ? [x, y, within(width + right, LEAST, 1 - x), within(height + down, LEAST, 1 - y)]
        : moved(this.#value, right, down);
      this.#tell("region-change");
    } else return;
    event.preventDefault();
  }
}

function moved([x, y, width, height], right, down) {
  return [within(x + right, 0, 1 - width), within(y + down, 0, 1 - height), width, height];
}

function spanned([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)];
}

function opposite(side, [x, y, width, height]) {
  return [side.includes("w") ? x + width : x, side.includes("n") ? y + height : y];
}
