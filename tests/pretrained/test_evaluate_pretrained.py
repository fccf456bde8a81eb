"""An evaluation of a network that knows real photos, on real photos, where both are at hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ddsim.evaluation.experiments import read_experiments
from ddsim.evaluation.options import Options
from ddsim.evaluation.results import Evaluation
from ddsim.evaluation.run import evaluate_experiments

SHARED = Path(__file__).parents[3] / "shared"
MODEL = SHARED / "models" / "squeezenet_v1.1"
PHOTOS = SHARED / "images" / "photos"
PER_CATEGORY = 12

pytestmark = pytest.mark.skipif(
    not ((MODEL / "squeezenet_v1.1.caffemodel").is_file() and PHOTOS.is_dir()),
    reason=f"no pretrained network and photos in {SHARED}",
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluation]:
    """Two layers of SqueezeNet, by distance and by angle, on some photos of each of eight categories."""
    root = tmp_path_factory.mktemp("pretrained")
    for category in sorted(path for path in PHOTOS.iterdir() if path.is_dir()):
        (root / "photos" / category.name).mkdir(parents=True)
        for photo in sorted(category.iterdir())[:PER_CATEGORY]:
            shutil.copyfile(photo, root / "photos" / category.name / photo.name)
    raw = {
        "server": "embedded",
        "catalogue": "photos",
        "network": {
            "def": str(MODEL / "deploy.prototxt"),
            "weights": str(MODEL / "squeezenet_v1.1.caffemodel"),
            "corresp": str(MODEL / "corresp.txt"),
            "nclasses": 1000,
            "width": 227,
            "height": 227,
            "mean": [104.0, 117.0, 123.0],
        },
        "similarity": {"extract_layer": "pool10"},
        "matrix": {"layer": ["pool1", "pool10"], "metric": ["l2", "cosine"]},
    }
    config = root / "squeezenet.yaml"
    config.write_text(yaml.safe_dump(raw), "utf-8")
    found = evaluate_experiments(
        read_experiments([config]), root / "photos", options=Options(timing_queries=3), cache=root / "cache"
    )
    assert found is not None
    yield found
    assert not any(path.is_file() for path in (root / ".ddsim").rglob("*"))


def test_the_last_layer_beats_the_first(evaluation: Evaluation) -> None:
    """A trained network's last pooling layer knows what photos show: far better than its first, pixels and chance."""
    rows = {(row.about.get("layer"), row.about.get("metric")): row for row in evaluation.rows if row.failed is None}
    assert len(evaluation.rows) == 4 + 2
    assert evaluation.asked == 8 * PER_CATEGORY
    best = evaluation.rows[0]
    assert best.about["layer"] == "pool10"
    assert best.measures["P@1"].overall.value > 0.7
    assert rows["pool10", "cosine"].dimension == 1000
    for one in evaluation.comparisons:
        if one.category is None and one.a == best.name and "pool10" not in one.b:
            assert one.difference.sign == -1, one.verdict
    assert best.name in evaluation.conclusion


def test_photos_are_told_apart_by_their_neighbours(evaluation: Evaluation) -> None:
    """Without a classification service the vote of the neighbours says what a photo shows."""
    best = evaluation.rows[0]
    assert "accuracy.service" not in best.measures
    assert best.measures["accuracy"].overall.value > 0.7
    assert best.latency_p50 is not None


def test_one_extraction_a_layer(evaluation: Evaluation) -> None:
    """Two metrics share the vectors of a layer."""
    counts = [(row.extracted, row.cached) for row in evaluation.rows if row.kind == "configuration"]
    assert sorted(counts) == [(0, 8 * PER_CATEGORY)] * 2 + [(8 * PER_CATEGORY, 0)] * 2
