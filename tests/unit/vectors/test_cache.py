"""The cache of vectors and labels: what comes back, who shares it, and what is said when it cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddsim.deepdetect.results import Label
from ddsim.errors import ConfigError
from ddsim.vectors.cache import FILE, Cache

KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from ddsim.vectors.cache import Cache
cache = Cache(Path(sys.argv[1]))
cache.keep_vectors("k", {"a": np.ones(3, np.float32)})
cache._db.execute("BEGIN IMMEDIATE")
cache._db.execute("INSERT INTO kept (key, sha256, value) VALUES ('k', 'b', x'00')")
os.kill(os.getpid(), 9)
"""


def test_vectors_come_back_as_they_were(tmp_path: Path) -> None:
    """To the last bit, by key and picture; in a later run, too."""
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    with Cache(tmp_path) as cache:
        cache.keep_vectors("k", {"a": rows[0], "b": rows[1]})
        cache.keep_vectors("other", {"a": rows[2]})
    with Cache(tmp_path) as cache:
        found = cache.vectors("k", ["b", "a", "c"])
        assert found.keys() == {"a", "b"} == cache.known("k", ["a", "b", "c", "a"])
        assert found["a"].dtype == np.float32
        np.testing.assert_array_equal([found["a"], found["b"]], rows[:2])
        np.testing.assert_array_equal(cache.vectors("other", ["a"])["a"], rows[2])


def test_more_pictures_than_one_statement_takes(tmp_path: Path) -> None:
    """Thousands are looked up at once."""
    with Cache(tmp_path) as cache:
        cache.keep_vectors("k", {f"{number}": np.array([number], np.float32) for number in range(2500)})
        found = cache.vectors("k", map(str, range(3000)))
        assert len(found) == len(cache.known("k", map(str, range(3000)))) == 2500
        assert found["2499"][0] == 2499


def test_labels_come_back_as_they_were(tmp_path: Path) -> None:
    """Names of any script, in their order; none at all is an answer as well."""
    some = (Label("n1 椅子", 0.5), Label("n2", 1e-5))
    with Cache(tmp_path) as cache:
        cache.keep_labels("k", {"a": some, "b": ()})
        assert cache.labels("k", ["a", "b", "c"]) == {"a": some, "b": ()}


def test_forget(tmp_path: Path) -> None:
    """What is kept under one key goes, and nothing else."""
    with Cache(tmp_path) as cache:
        for key in ("k", "other"):
            cache.keep_vectors(key, {"a": np.ones(1, np.float32)})
        cache.forget("k")
        assert (cache.known("k", ["a"]), cache.known("other", ["a"])) == (set(), {"a"})


def test_two_at_once(tmp_path: Path) -> None:
    """Both see what either keeps; the same picture twice is no conflict."""
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.keep_vectors("k", {"a": np.ones(2, np.float32)})
        two.keep_vectors("k", {"a": np.ones(2, np.float32), "b": np.zeros(2, np.float32)})
        assert one.known("k", ["a", "b"]) == two.known("k", ["a", "b"]) == {"a", "b"}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_leaves_whole_batches(tmp_path: Path) -> None:
    """What was kept stays, what was being written was never there."""
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert died.returncode == -9
    with Cache(tmp_path) as cache:
        assert cache.known("k", ["a", "b"]) == {"a"}
        cache.keep_vectors("k", {"b": np.ones(3, np.float32)})


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    """It is named, with what to do."""
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match=f"{FILE}.*delete it"):
        Cache(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is named as well."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file"):
        Cache(tmp_path / "file" / "cache")


def test_a_file_of_another_layout(tmp_path: Path) -> None:
    """It is left alone."""
    with Cache(tmp_path) as cache:
        cache._db.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="another version"):
        Cache(tmp_path)
