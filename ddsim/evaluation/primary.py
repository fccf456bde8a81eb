"""The measure by which rows are ranked and compared: one that can tell searches apart on these pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddsim.evaluation.scoring import SHOWN
from ddsim.evaluation.task import Task


@dataclass(frozen=True, slots=True)
class Primary:
    """A measure, and what is to be said of the choice.

    Attributes:
        name: of :data:`ddsim.evaluation.results.MEASURES`.
        why: a sentence where it is not the usual one; else empty.
        blind: a sentence where every order of the items has the same value; else empty.
    """

    name: str
    why: str = ""
    blind: str = ""


def primary_measure(task: Task) -> Primary:
    """Choose the measure for these queries.

    Who searches with a photo of a thing wants to see that thing first. Where names of files tell products, and most
    queries have theirs among the items, ``product@1`` says how often that is so. Otherwise nobody knows what is the
    same thing, and ``P@10`` says how much of the first page is at least of the right category. Of ten items or fewer
    every order has the same P@10, and with fewer than ten right ones none reaches 100 %: then it is ``MAP@R``, which
    looks at as many ranks as there are right ones.
    """
    if 2 * np.count_nonzero(task.same_product) > len(task.queries):
        told = task.same_product > 0
        same = np.array_equal(task.same_product[told], task.findable[told])
        return Primary("product@1", blind=_blind("product@1", "product", "products") if same else "")
    asked = task.relevant > 0
    relevant, findable = task.relevant[asked], task.findable[asked]
    name, why = f"P@{SHOWN}", ""
    if 2 * np.count_nonzero(findable <= SHOWN) > len(findable):
        name = "MAP@R"
        why = f"Ranked by MAP@R: there are {SHOWN} pictures to find or fewer, and every order of them has the same "
        why += f"P@{SHOWN}."
    elif 2 * np.count_nonzero(relevant < SHOWN) > len(relevant):
        name = "MAP@R"
        why = f"Ranked by MAP@R: most queries have fewer than {SHOWN} pictures of their category to find, so that "
        why += f"P@{SHOWN} cannot reach 100 %."
    same = np.array_equal(relevant, findable)
    return Primary(name, why, _blind(name, "category", "categories") if same else "")


def _blind(name: str, one: str, several: str) -> str:
    return (
        f"There is nothing to tell apart: all that a query can find is of its own {one}, so that every search has the "
        f"same {name}. Take pictures of two {several} or more."
    )
