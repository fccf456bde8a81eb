"""One product's choice of colours and materials."""

from __future__ import annotations

import dataclasses

from numpy.random import RandomState

from .materials import FABRICS, METALS, PAINTS, WOODS, Colour, Material, fabric, metal, paint, pick, tinted, wood

_PATTERNS = ("stripes", "pinstripes", "checks", "tartan", "dots", "chevron")


@dataclasses.dataclass(frozen=True)
class Look:
    """What a product is made of, and the random source that its proportions come from.

    `number` counts the products of one style; colours step through the palettes with it, so that two products
    of one style differ in colour long before they must differ in proportions alone.
    """

    random: RandomState
    style: int
    number: int

    def colour(self, step: int = 0) -> Colour:
        """Return the product's cloth colour; other values of `step` give colours that go with it."""
        names = list(FABRICS)
        return tinted(FABRICS[names[(self.number * 7 + self.style * 5 + step * 11) % len(names)]], self.random)

    def cloth(
        self, *, patterned: float = 0.2, kinds: tuple[str, ...] = ("weave", "velvet", "boucle", "leather")
    ) -> Material:
        """Return upholstery in the product's colour, with a pattern in so large a share of products."""
        kind = pick(self.random, kinds)
        if kind in ("weave", "velvet") and self.random.rand() < patterned:
            return self.patterned(self.colour())
        return fabric(self.colour(), kind=kind)

    def patterned(self, colour: Colour) -> Material:
        """Return cloth with a pattern of the colour and one that goes with it."""
        pattern = pick(self.random, _PATTERNS)
        return fabric(colour, pattern=pattern, second=self.colour(1 + int(self.random.randint(3))))

    def accent(self, step: int = 1) -> Material:
        """Return the cloth of cushions and throws."""
        colour = self.colour(step)
        return self.patterned(colour) if self.random.rand() < 0.45 else fabric(colour, kind="velvet")

    def wood(self, step: int = 0) -> Material:
        """Return the product's wood."""
        names = list(WOODS)
        return wood(names[(self.number * 3 + self.style + self.number // 8 + step) % len(names)])

    def paint(self, step: int = 0) -> Material:
        """Return the product's lacquer."""
        names = list(PAINTS)
        return paint(names[(self.number * 5 + self.style * 3 + step) % len(names)])

    def metal(self, step: int = 0) -> Material:
        """Return the product's metal."""
        names = list(METALS)
        return metal(names[(self.number * 5 + self.style + step) % len(names)])

    def frame(self) -> Material:
        """Return wood or lacquer, as the product has it."""
        return self.wood() if self.random.rand() < 0.65 else self.paint()

    def between(self, low: float, high: float) -> float:
        """Return a length of the product's own."""
        return float(self.random.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Return whether the product has a feature that so large a share of products have."""
        return bool(self.random.rand() < share)
