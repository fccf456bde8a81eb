// Cards of different heights in rows without gaps: the first free place from the left is the next card's.
// The grid has rows of one unit; a card spans as many as it is high. Order stays that of the list.

const UNIT = 4; // pixels, as in cards.css

const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) span(target);
});

function span(card) {
  const gap = parseFloat(getComputedStyle(card.parentElement ?? card).columnGap) || 0;
  card.style.gridRowEnd = `span ${Math.ceil((card.getBoundingClientRect().height + gap) / UNIT)}`;
}

/** Let these cards take their places, and find others when their heights change. */
export function lay(cards) {
  for (const card of cards) {
    span(card);
    watch.observe(card);
  }
}

/** Forget the cards that are to go. */
export function clear() {
  watch.disconnect();
}
