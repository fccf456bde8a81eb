"""Three drawn pictures whose vectors tell whether two servers run the same network.

A server may be another one at the same address, be upgraded, or be one of several: what it computes has to go with
what is kept, and with what the others compute. The pictures never change, so their vectors do not either.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from ddsim.deepdetect.results import Vectors
from ddsim.errors import NetworkChanged
from ddsim.pictures import Encoded, Upload, encode

#: So near, as a cosine, are vectors of the same network on other machines; those of others are far below.
SAME = 0.9999
#: What to do about servers with other vectors.
SAME_FILES = "have the same network files on all servers, or leave some out of server.urls"
_SIDE = 256
_VALUE = np.dtype("<f4")


def drawn(upload: Upload) -> list[Encoded]:
    """The pictures as a configuration sends its own, whatever its limits."""
    prepared = Upload(shrink=upload.shrink, quality=upload.quality)
    return [encode(picture, prepared) for picture in _pictures()]


@lru_cache(maxsize=1)
def _pictures() -> tuple[Image.Image, ...]:
    """Colours and edges of all sizes, drawn in whole numbers so that they are the same everywhere."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    rings = (x - 90) ** 2 + (y - 140) ** 2
    planes = [
        (x ^ y, (x * 3 + y) % _SIDE, (x * y // 64) % _SIDE),
        (rings // 40 % _SIDE, 255 - x, np.where((x // 32 + y // 32) % 2, 220, 40)),
        (y, np.where(rings < 4900, 230, 30), (x // 8 * 37 + y // 8 * 91) % _SIDE),
    ]
    return tuple(Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)) for channels in planes)


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth value
class Canary:
    """What a network makes of the drawn pictures: ``vectors``, float32, shape (3, d)."""

    vectors: Vectors

    def nearness(self, other: Canary) -> float:
        """The smallest cosine between the two vectors of one picture, -1 to 1; -1 for other lengths and no numbers."""
        one, two = self.vectors.astype(np.float64), other.vectors.astype(np.float64)
        if one.shape != two.shape or not (np.isfinite(one).all() and np.isfinite(two).all()):
            return -1.0
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        # Two vectors of nothing but zeros are the same, and have no angle.
        equal = (one == two).all(axis=1)
        cosines = np.divide((one * two).sum(axis=1), lengths, out=np.full(len(one), -1.0), where=lengths > 0)
        return float(np.where(equal, 1.0, cosines).min(initial=1.0))

    def same_as(self, other: Canary) -> bool:
        """Whether both are the same network's."""
        return self.nearness(other) >= SAME

    def to_text(self) -> str:
        """As it is kept."""
        values = base64.b64encode(self.vectors.astype(_VALUE).tobytes()).decode("ascii")
        return json.dumps({"shape": list(self.vectors.shape), "values": values})

    @classmethod
    def from_text(cls, text: str) -> Canary | None:
        """What :meth:`to_text` gave; None of anything else."""
        try:
            kept = json.loads(text)
            values = np.frombuffer(base64.b64decode(kept["values"]), _VALUE)
            return cls(values.reshape(kept["shape"]).astype(np.float32))
        except (ValueError, TypeError, KeyError):
            return None


def agreed(found: Mapping[str, Canary], kept: Canary | None) -> Canary:
    """What several servers make of the drawn pictures, all of them the same.

    Args:
        found: address -> what that server makes of them.
        kept: what goes with the vectors that are kept; the right one where any server agrees.

    Raises:
        NetworkChanged: they do not agree; those with the wrong ones, or with fewer on their side, are named.
    """
    right = right_one(found, kept)
    wrong = {url: one for url, one in found.items() if not one.same_as(right)}
    if wrong:
        told = differing(wrong, right, [url for url in found if url not in wrong])
        raise NetworkChanged(f"{told}, and nothing was stored: {SAME_FILES}")
    return right


def right_one(found: Mapping[str, Canary], kept: Canary | None) -> Canary:
    """The one that counts: what is kept, where any server agrees with it, or else that of most servers.

    Args:
        found: address -> what that server makes of the drawn pictures; one at least.
        kept: what goes with the vectors that are kept.
    """
    if kept is not None and any(one.same_as(kept) for one in found.values()):
        return kept
    votes = {url: sum(one.same_as(other) for other in found.values()) for url, one in found.items()}
    return found[max(votes, key=lambda url: votes[url])]


def differing(wrong: Mapping[str, Canary], right: Canary, others: Sequence[str] = ()) -> str:
    """What names the servers with other vectors, without a full stop."""
    told = " and ".join(f"{url} (agreement {one.nearness(right):.4f})" for url, one in wrong.items())
    gives = "gives" if len(wrong) == 1 else "give"
    than = " and ".join(others) or "the other servers"
    return (
        f"{told} {gives} other vectors of three drawn pictures than {than}; an agreement of {SAME} at least is needed"
    )
