"""ddsim.vectors.trainable: how many pictures an index takes before FAISS can train it."""

from __future__ import annotations

import numpy as np
import pytest

from ddsim.vectors import least_pictures, load_faiss, why_not_trainable


@pytest.mark.parametrize("kind", ["IVF16,Flat", "PCA16,Flat", "IVF1,Flat", "PCA1,Flat", "Flat", "HNSW8"])
def test_the_least_number_is_that_of_faiss(kind: str) -> None:
    """With so many pictures FAISS trains the index, with one less it refuses; the others need none."""
    faiss, rows = load_faiss(), np.random.default_rng(0).random((40, 32), dtype=np.float32)
    least = least_pictures(kind)
    made = faiss.index_factory(32, kind)
    if not least:
        assert made.is_trained
        return
    made.train(rows[:least])
    assert made.is_trained
    if least > 1:
        with pytest.raises(RuntimeError):
            faiss.index_factory(32, kind).train(rows[: least - 1])


def test_too_few_pictures_are_told_with_the_number_that_is_needed() -> None:
    """The sentence names the setting, what it needs, what there is, and what to write."""
    reason = why_not_trainable("IVF1024,Flat", 208)
    assert reason is not None
    assert (
        "IVF1024,Flat needs at least 1024 pictures to be trained, and there are 208: write index_type: Flat" in reason
    )
    assert why_not_trainable("IVF1024,Flat", 1024) is None
    assert "keeps 64 values, and the vectors have 16" in (why_not_trainable("PCA64,Flat", 1000, 16) or "")
    assert why_not_trainable("PCA64,Flat", 1000) is None
