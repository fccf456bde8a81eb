"""ddsim.vectors.milvus: what holds in every home holds on a real Milvus, too; the same tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home
from test_vectors import (  # noqa: F401  what is imported here is collected here
    test_a_lost_answer_doubles_nothing,
    test_a_server_restarted_between_batches,
    test_add_gives_the_vectors,
    test_another_network_under_the_same_name_is_refused,
    test_every_picture_finds_itself,
    test_k_below_one_is_refused,
    test_names_that_need_care,
    test_rebuild_starts_anew,
    test_removing_from_the_manifest_is_enough,
    test_several_queries_at_once,
    test_twins_are_both_found,
    test_what_changed_is_not_found_by_what_it_was,
)

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]


@pytest.fixture(params=["milvus"])
def home(request: pytest.FixtureRequest, tmp_path: Path, milvus_url: str) -> Iterator[Home]:
    """The home in a database, with seven pictures in three categories and nothing indexed."""
    made = Home(tmp_path, request.param, url=milvus_url)
    made.shop.add(*(f"lamp/{number}.png" for number in range(4)), "bed/0.png", "bed/1.png", "chair/0.png")
    yield made
    made.close()
