"""Searching a part of many rows: those of the lists whose centres are nearest to the query (FAISS' IVF).

The lists hold every row in 8 bits a value, a quarter of float32; whatever they find is compared again by the rows
themselves, so distances are exact and only who is among the nearest is not quite certain. How often the ten nearest are
found is measured on rows of its own after every build, and as many lists are searched as that needs.

Rows that came since are searched exactly beside it, and those that are gone are passed over. What a filter lets
through may lie far from the query: so many lists are searched that enough of it lies in them. Where a filter or many
gone rows leave too few, everything is searched: no list is ever short.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError
from ddsim.vectors.exact import Vids, load_faiss
from ddsim.vectors.files import UNFINISHED, Damaged, read, sync_folder, written
from ddsim.vectors.files import replace as replace_file
from ddsim.vectors.passing import Passing
from ddsim.vectors.table import Table

_log = logging.getLogger(__name__)

FILE = "approximate.json"
_PREFIX = "approximate-"
#: From so many rows on it is built where the settings say ``auto``.
FROM = 50_000
#: What is asked for of the ten nearest.
GOOD = 0.99
_NEAREST = 10
_ASKED = 200
# Centres are learned from so many rows each, in so many rounds; more of either finds hardly more.
_ROWS_A_LIST = 48
_ROUNDS = 8
_FIRST_PROBES = 4
# So many more rows are compared again than are wanted, and so many at least.
_AGAIN = 1.25
_LEAST = 64
# Up to so many rows, those of a category are compared one by one, and so is what came since the build.
_FEW = 20_000
# Whoever searches within a filter may come from outside of it, and the lists' centres say less of what is far: so many
# times the rows are looked at then. With four times as many, .99 of the ten nearest were found in categories of 25,000
# to 60,000 of 200,000 rows, with this all of them.
_FARTHER = 16
# With a larger share of rows that came or went since, it is built anew.
_STALE = 0.1
_READ = 1 << 22


@dataclass(frozen=True, slots=True)
class Built:
    """What was built.

    Attributes:
        rows: how many rows it holds.
        lists: in how many lists they lie.
        probes: how many of these a search looks through.
        recall: the share of the ten nearest that is found so, 0 to 1, of 200 rows of its own.
        seconds: how long building and measuring took.
    """

    rows: int
    lists: int
    probes: int
    recall: float
    seconds: float


class Approximate:
    """An index over the rows of a table as they were at some time.

    Args:
        lists: FAISS' index, whose numbers are places in ``vids``.
        vids: ascending, shape (n,).
        built: what it is.
    """

    def __init__(self, lists: Any, vids: Vids, built: Built) -> None:
        self._lists = lists
        self._vids = vids
        self.built = built
        self._version = -1
        self._fresh: Vids = np.zeros(0, np.int64)
        self._passing = Passing(lists, vids)

    # Building

    @classmethod
    def build(cls, table: Table) -> Approximate:
        """Build it over all rows, and search as many lists as it takes to find what it should."""
        begun = time.monotonic()
        faiss = load_faiss()
        vids = table.vids
        count = 1 << round(math.log2(math.sqrt(len(vids))))
        measure = faiss.METRIC_L2 if table.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        centres = faiss.IndexFlat(table.dimension, measure)
        quantised = faiss.ScalarQuantizer.QT_8bit
        lists = faiss.IndexIVFScalarQuantizer(centres, table.dimension, count, quantised, measure)
        lists.cp.niter = _ROUNDS
        # So few rows a centre are meant.
        lists.cp.min_points_per_centroid = 1
        dice = np.random.default_rng(0)
        sample = np.sort(dice.choice(vids, min(len(vids), _ROWS_A_LIST * count), replace=False))
        with np.errstate(invalid="ignore"):
            lists.train(np.nan_to_num(table.rows_of(sample)))
        for some, rows, _ in table.parts():
            lists.add_with_ids(np.nan_to_num(rows), np.searchsorted(vids, some))
        made = cls(lists, vids, Built(len(vids), count, min(count, _FIRST_PROBES), 0.0, 0.0))
        made._tune(table, np.sort(dice.choice(vids, min(len(vids), _ASKED), replace=False)))
        made.built = Built(len(vids), count, made.built.probes, made.built.recall, time.monotonic() - begun)
        return made

    def _tune(self, table: Table, asked: Vids) -> None:
        queries = table.rows_of(asked)
        truth = [table.nearest(query, _NEAREST + 1) for query in queries]
        probes = self.built.probes
        while True:
            recall = self._recall(table, asked, queries, truth, probes)
            self.built = Built(self.built.rows, self.built.lists, probes, recall, 0.0)
            if recall >= GOOD or probes >= self.built.lists:
                return
            probes = min(2 * probes, self.built.lists)

    def _recall(
        self, table: Table, asked: Vids, queries: Vectors, truth: list[list[tuple[int, float]]], probes: int
    ) -> float:
        """The share of the nearest, but for the row itself, that is found; of equally near ones any will do."""
        shares = []
        for vid, query, right in zip(asked.tolist(), queries, truth, strict=True):
            others = [far for other, far in right if other != vid][:_NEAREST]
            if not others:
                continue
            found = self._nearest(table, query, _NEAREST + 1, probes)
            near = [far for other, far in found if other != vid and far <= others[-1] * (1 + 1e-5) + 1e-9]
            shares.append(min(len(near), len(others)) / len(others))
        return float(np.mean(shares)) if shares else 1.0

    # Searching

    def nearest(self, table: Table, query: Vectors, k: int, only: Vids | None = None) -> list[tuple[int, float]]:
        """As :meth:`ddsim.vectors.table.Table.nearest`, of a table that has changed little since."""
        self._follow(table)
        there = len(table) if only is None else len(only)
        if there <= _FEW or 4 * k >= there:
            return table.nearest(query, k, only)
        found = self._nearest(table, query, k, self.built.probes * (1 if only is None else _FARTHER), only)
        return found if len(found) == k else table.nearest(query, k, only)

    def is_stale(self, table: Table) -> bool:
        """Whether so much has come and gone since that it is to be built anew."""
        self._follow(table)
        return len(self._fresh) + self._passing.gone > _STALE * max(1, len(self._vids))

    def _nearest(
        self, table: Table, query: Vectors, k: int, probes: int, only: Vids | None = None
    ) -> list[tuple[int, float]]:
        self._follow(table)
        faiss = load_faiss()
        (wanted,), _ = table.as_kept(query[np.newaxis])
        with _one_thread(faiss):
            if only is not None:
                probes = self._passing.probes(wanted, only, probes)
            options = faiss.SearchParametersIVF(nprobe=probes, sel=self._passing.selector(only))
            _, places = self._lists.search(wanted[np.newaxis], max(_LEAST, math.ceil(_AGAIN * k)), params=options)
        found = self._vids[places[0][places[0] >= 0]]
        fresh = self._fresh if only is None else np.intersect1d(self._fresh, only, assume_unique=True)
        return table.nearest(query, k, np.sort(np.concatenate([found, fresh])))

    def _follow(self, table: Table) -> None:
        """Know what came and went."""
        if self._version == table.version:
            return
        now = table.vids
        self._fresh = np.setdiff1d(now, self._vids, assume_unique=True)
        self._passing.follow(now)
        self._version = table.version

    # Files

    def write(self, folder: Path, key: str) -> None:
        """Put it on disk; ``key`` says what the rows are.

        Raises:
            ConfigError: it cannot be written.
        """
        faiss = load_faiss()
        stem = f"{_PREFIX}{secrets.token_hex(4)}"
        paths = {"lists": folder / f"{stem}.faiss", "vids": folder / f"{stem}.vids"}
        with written(folder / FILE):
            faiss.write_index(self._lists, str(paths["lists"]))
            paths["vids"].write_bytes(self._vids.astype("<i8").tobytes())
            for path in paths.values():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            sync_folder(folder)
        files = {name: {"name": path.name, "crc": _sum(path)} for name, path in paths.items()}
        content = orjson.dumps({"key": key, "files": files, "built": asdict(self.built)})
        whole = orjson.dumps({"crc": zlib.crc32(content)})[:-1] + b',"built":' + content + b"}\n"
        replace_file(folder / FILE, lambda file: file.write(whole))
        clear(folder, keep={path.name for path in paths.values()})

    @classmethod
    def read(cls, folder: Path, key: str) -> Approximate | None:
        """What :meth:`write` wrote; None where there is none, where it is damaged, or of other rows."""
        try:
            with read(folder / FILE):
                found = orjson.loads((folder / FILE).read_bytes())
            content = found["built"]
            if zlib.crc32(orjson.dumps(content)) != found["crc"]:
                raise Damaged("not as it was written")
            if content["key"] != key:
                return None
            lists, vids = (_checked(folder, content["files"][name]) for name in ("lists", "vids"))
            made = load_faiss().read_index(str(lists))
            return cls(made, np.frombuffer(vids.read_bytes(), "<i8").astype(np.int64), Built(**content["built"]))
        except FileNotFoundError:
            return None
        except (Damaged, ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
            _log.warning("%s cannot be used, every row is compared until the next run: %s", folder / FILE, error)
            return None


def pays(rows: int) -> bool:
    """Whether there are so many rows that it is built, where the settings say ``auto``."""
    return rows >= FROM


def recalled(built: Mapping[str, Any]) -> str:
    """What :class:`Built` says, or a database's :class:`ddsim.vectors.milvusrecall.Recall`, in a sentence.

    Args:
        built: as the manifest keeps it.
    """
    how = (
        f"by the database's {built['index']}" if "index" in built else f"in {built['probes']} of {built['lists']} lists"
    )
    found = f"searches look {how} of {built['rows']} vectors and find {built['recall']:.1%} of the ten nearest"
    return found if built["recall"] >= GOOD else f"{found}, which is less than {GOOD:.0%}"


def clear(folder: Path, keep: set[str] | None = None) -> None:
    """Remove the files of such indexes, but for these."""
    if keep is None:
        (folder / FILE).unlink(missing_ok=True)
    for path in folder.glob(f"{_PREFIX}*"):
        if path.name not in (keep or ()) and path.suffix != UNFINISHED:
            with suppress(OSError):
                path.unlink()


def _checked(folder: Path, listed: Any) -> Path:
    """A file that is as it was written; raises Damaged where it is not."""
    path = folder / Path(str(listed["name"])).name
    if _sum(path) != listed["crc"]:
        raise Damaged(f"{path.name} is not as it was written")
    return path


def _sum(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while content := file.read(_READ):
            crc = zlib.crc32(content, crc)
    return crc


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Keep FAISS from waking its threads: for a single query they find nothing to do, and that takes milliseconds."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
