"""Reading PyTorch's legacy files without PyTorch, and without believing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch_writer import MAGIC, called, numbers, saved, state_dict, tensor, value

from ddsim.networks.torchfile import TorchFileError, read_tensors


def test_tensors_come_out_as_they_went_in() -> None:
    """Names, shapes and numbers are those of the file."""
    weights = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = read_tensors(state_dict({"a.weight": weights, "b.bias": [1.5, -2.0], "c.count": 3.0}))
    assert list(found) == ["a.weight", "b.bias", "c.count"]
    np.testing.assert_array_equal(found["a.weight"], weights)
    np.testing.assert_array_equal(found["b.bias"], np.array([1.5, -2.0], np.float32))
    assert found["c.count"].shape == ()
    assert found["c.count"] == 3


def test_a_tensor_may_walk_through_its_storage_in_another_order() -> None:
    """Tensors that were transposed before they were saved have other steps; two may share one storage."""
    entries = {"turned": tensor("0", 6, (3, 2), (1, 3)), "rest": tensor("0", 6, (2,), (1,), offset=4)}
    found = read_tensors(saved(entries, {"0": numbers(range(6))}))
    np.testing.assert_array_equal(found["turned"], np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(found["rest"], [4, 5])


def test_whole_numbers_are_read() -> None:
    """Counters are saved as 64-bit integers."""
    data = saved({"n": tensor("0", 2, (2,), (1,), kind="LongStorage")}, {"0": numbers([7, 1 << 40], "<i8")})
    np.testing.assert_array_equal(read_tensors(data)["n"], [7, 1 << 40])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("posix", "system"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "Counter"),
        ("ddsim.networks.torchfile", "read_tensors"),
    ],
)
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path: Path, module: str, name: str) -> None:
    """Whatever a file asks for beyond tensors is neither imported nor called."""
    target = tmp_path / "touched"
    hostile = called(module, name, b"(" + value(f"touch {target}") + b"t")
    with pytest.raises(TorchFileError, match=f"asks for {module}.{name}"):
        read_tensors(saved({"w": hostile}, {}))
    assert not target.exists()


def test_a_hostile_head_is_refused_too() -> None:
    """The small pickles in front of the tensors are read by the same rules."""
    data = b"\x80\x02" + called("os", "getcwd", b")") + b"."
    with pytest.raises(TorchFileError, match=r"asks for os\.getcwd"):
        read_tensors(data)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (tensor("0", 6, (3, 3), (3, 1)), "beyond its storage"),
        (tensor("0", 6, (2,), (1,), offset=5), "beyond its storage"),
        (tensor("0", 6, (1 << 20, 1 << 19), (0, 0)), "beyond its storage"),
        (tensor("0", 6, (2, 3), (-3, 1)), "no sensible shape"),
        (tensor("0", 6, (2, 3), (1,)), "no sensible shape"),
        (tensor("0", 7, (2,), (1,)), "6 numbers where 7 were announced"),
        (tensor("0", 6, (2,), (1,), kind="HalfStorage"), r"asks for torch\.HalfStorage"),
        (tensor("1", 6, (2,), (1,)), "does not fit its tensors"),
        (value([1, 2]), "something other than named tensors"),
        (called("torch._utils", "_rebuild_tensor_v2", b"(" + value((1, 2, 3)) + b"t"), "PyTorch's legacy format"),
        (b"(" + value("storage") + value("x") + b"tQ", "PyTorch's legacy format"),
    ],
)
def test_tensors_that_make_no_sense_are_refused(entry: bytes, said: str) -> None:
    """No tensor can reach beyond its numbers, or take more memory than the file has."""
    with pytest.raises(TorchFileError, match=said):
        read_tensors(saved({"w": entry}, {"0": numbers(range(6))}))


@pytest.mark.parametrize("end", [0, 1, 10, 40, 200, -1])
def test_a_file_that_is_cut_off_is_refused(end: int) -> None:
    """Wherever a download broke off, it is an error with words."""
    with pytest.raises(TorchFileError):
        read_tensors(state_dict({"a": np.ones((4, 4))})[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 what PyTorch writes today",
        b"no pickle",
        b"\x80\x02" + b"(" * 100_000,
        saved({}, {}, [MAGIC + 1, 1001, {"little_endian": True}]),
        saved({}, {}, [MAGIC, 1001, {"little_endian": False}]),
        saved({}, {}, [MAGIC, 1001, 5]),
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    """What is no legacy file of a little-endian machine is not read."""
    with pytest.raises(TorchFileError, match="legacy format"):
        read_tensors(data)
