"""networks: one network for all services with the same files, in memory for the layers in use and no more."""

from __future__ import annotations

import gc
import shutil
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from caffe_writer import caffemodel, write_network
from layers import definition, layer, numbers

from ddsim.embedded import network as module
from ddsim.embedded.files import NetworkError
from ddsim.embedded.network import Network
from ddsim.embedded.networks import Networks
from ddsim.embedded.runtime import Hardware, RuntimeFailure, Session, cores

LAYERS = (
    layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 }", name="conv")
    + layer("ReLU", bottoms="conv", tops="conv", name="relu")
    + layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", bottoms="conv", name="pool")
    + layer("InnerProduct", "inner_product_param { num_output: 5 }", bottoms="pool", name="fc")
    + layer("Softmax", bottoms="fc", name="prob")
)
WEIGHTS = {"conv": [numbers(1, 8, 3, 3, 3), numbers(2, 8)], "fc": [numbers(3, 5, 8), numbers(4, 5)]}
PICTURES = numbers(0, 2, 3, 12, 12)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The files of a small network."""
    return write_network(tmp_path, definition(LAYERS, (3, 12, 12)), caffemodel(WEIGHTS))


class Counting(Session):
    """Counts sessions and passes."""

    made: list[Counting]
    passes: list[int]

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.made.append(self)

    def run(self, outputs: list[str], pictures: np.ndarray) -> list[np.ndarray]:  # type: ignore[override,type-arg]
        """Count the pictures, and run them."""
        self.passes.append(len(pictures))
        return super().run(outputs, pictures)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Counting]]:
    """Networks make sessions that count."""
    Counting.made, Counting.passes = [], []
    monkeypatch.setattr(module, "Session", Counting)
    yield Counting
    Counting.made.clear()


def test_equal_files_are_one_network(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Wherever they lie; other weights are another one."""
    networks = Networks()
    first = networks.caffe(*files)
    copies = [Path(shutil.copy(path, tmp_path / f"copy-{path.name}")) for path in files]
    assert networks.caffe(*copies) is first
    copies[1].write_bytes(caffemodel(WEIGHTS | {"fc": [numbers(9, 5, 8), numbers(4, 5)]}))
    assert networks.caffe(*copies) is not first


def test_a_network_without_services_goes(files: tuple[Path, Path]) -> None:
    """Its memory is free once nobody holds it."""
    networks = Networks()
    network = networks.caffe(*files)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_one_pass_gives_both_layers(files: tuple[Path, Path], counting: type[Counting]) -> None:
    """Probabilities and features of the same pictures take one pass, once both have been asked for."""
    network = Network(*files)
    expected = {name: network.forward(PICTURES, name, 2) for name in ("pool", "prob")}
    counting.passes.clear()
    pictures = PICTURES + 1
    first, second = network.forward(pictures, "prob", 2), network.forward(pictures.copy(), "pool", 2)
    assert counting.passes == [2]
    alone = Network(*files)
    np.testing.assert_allclose(first, alone.forward(pictures, "prob", 2), rtol=1e-5)
    np.testing.assert_allclose(second, alone.forward(pictures, "pool", 2), rtol=1e-5)
    for name, vectors in expected.items():
        np.testing.assert_allclose(network.forward(PICTURES, name, 2), vectors, rtol=1e-6)


def test_other_pictures_run_again(files: tuple[Path, Path], counting: type[Counting]) -> None:
    """Only equal pictures are taken for the same, number by number."""
    network = Network(*files)
    for name in ("pool", "prob"):
        network.forward(PICTURES, name, 2)
    counting.passes.clear()
    changed = PICTURES.copy()
    changed[1, 2, 11, 11] += 1
    network.forward(PICTURES, "prob", 2)
    assert np.array_equal(network.forward(changed, "pool", 2)[0], network.forward(PICTURES, "pool", 2)[0])
    assert not np.array_equal(network.forward(changed, "pool", 2), network.forward(PICTURES, "pool", 2))
    assert counting.passes == [2]


def test_layers_far_apart_have_sessions_of_their_own(files: tuple[Path, Path], counting: type[Counting]) -> None:
    """Who asks for an early layer does not pay for the rest; layers nobody asks for are let go."""
    early = layer("Power", name="early") + LAYERS.replace('bottom: "data"', 'bottom: "early"')
    files[0].write_text(definition(early, (3, 12, 12)), "utf-8")
    network = Network(*files)
    for name in ("early", "pool", "prob", "early", "prob", "pool"):
        network.forward(PICTURES, name, 2)
    assert sorted(len(session.outputs) for session in network_sessions(network)) == [1, 2]
    assert len(counting.made) == 4  # at loading, early, pool, pool with prob


def network_sessions(network: Network) -> list[Session]:
    """The sessions that a network keeps."""
    return [loaded.session for loaded in network._sessions]


def test_released_networks_come_back(files: tuple[Path, Path]) -> None:
    """A network that gave its memory back reads its files again when it is asked."""
    network = Network(*files)
    expected = network.forward(PICTURES, "pool", 2)
    network.release()
    assert network_sessions(network) == []
    assert np.array_equal(network.forward(PICTURES, "pool", 2), expected)


def test_idle_networks_are_released(files: tuple[Path, Path]) -> None:
    """Only those that nobody has asked for so long; without a limit none."""
    for idle, left in ((0.0, 0), (3600.0, 1), (None, 1)):
        networks = Networks(idle=idle)
        network = networks.caffe(*files)
        while time.monotonic() <= network.asked:
            pass  # the clock's next tick
        networks.release_idle()
        assert len(network_sessions(network)) == left


def test_changed_files_are_noticed(files: tuple[Path, Path]) -> None:
    """Another layer is never read from other weights than the first."""
    network = Network(*files)
    network.forward(PICTURES, "pool", 2)
    files[1].write_bytes(caffemodel(WEIGHTS | {"fc": [numbers(9, 5, 8), numbers(4, 5)]}))
    with pytest.raises(NetworkError, match=r"net\.caffemodel: has changed since its service was created"):
        network.forward(PICTURES, "conv", 2)
    assert network.forward(PICTURES, "pool", 2).shape == (2, 8)


def test_files_that_are_gone_are_read_elsewhere(files: tuple[Path, Path], tmp_path: Path) -> None:
    """One of two services may be deleted with its folder."""
    networks = Networks()
    network = networks.caffe(*files)
    (tmp_path / "other").mkdir()
    copies = [Path(shutil.copy(path, tmp_path / "other")) for path in files]
    assert networks.caffe(*copies) is network
    shutil.rmtree(tmp_path / "other")
    network.release()
    assert network.forward(PICTURES, "prob", 2).shape == (2, 5)
    for path in files:
        path.unlink()
    network.release()
    with pytest.raises(NetworkError, match="cannot be read"):
        network.forward(PICTURES, "prob", 2)


def test_threads_are_set(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By default all cores that the process may use."""
    made = []

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    Networks(threads=3).caffe(*files)
    Networks().caffe(*files)
    assert [options.intra_op_num_threads for options in made] == [3, cores()]


def test_a_gpu_is_used_where_there_is_one(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA comes first where this build of ONNX Runtime has it, with the full precision of floats."""
    asked = []
    whole = onnxruntime.InferenceSession

    def session(proto: bytes, options: object, providers: list[object]) -> object:
        asked.append(providers)
        return whole(proto, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    Network(*files, Hardware(gpu=True))
    Network(*files, Hardware(gpu=False))
    assert asked == [
        [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
        ["CPUExecutionProvider"],
    ]


def test_what_onnx_runtime_refuses_names_the_files(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words follow, in one line."""

    class Refusing(Session):
        def run(self, *_: object) -> list[np.ndarray]:  # type: ignore[type-arg]
            """Refuse to run."""
            raise RuntimeFailure("Non-zero status code returned while running Conv node. Name:'conv#0'")

    monkeypatch.setattr(module, "Session", Refusing)
    with pytest.raises(NetworkError, match=r"deploy\.prototxt with .*net\.caffemodel: layer 'prob'.*Name:'conv#0'"):
        Network(*files)


def test_passes_that_do_not_fit_are_failures() -> None:
    """ONNX Runtime's exceptions, which have no root in common, come out as one."""
    with pytest.raises(RuntimeFailure):
        Session(b"no model", Hardware())


def test_old_definitions_run(tmp_path: Path) -> None:
    """Definition and weights of the form before 2014 give what those of today give."""
    old = definition(LAYERS, (3, 12, 12)).replace("layer {", "layers {")
    for new, then in (
        ("Convolution", "CONVOLUTION"),
        ("ReLU", "RELU"),
        ("Pooling", "POOLING"),
        ("InnerProduct", "INNER_PRODUCT"),
        ("Softmax", "SOFTMAX"),
    ):
        old = old.replace(f'type: "{new}"', f"type: {then}")
    (tmp_path / "old").mkdir()
    one = Network(*write_network(tmp_path, definition(LAYERS, (3, 12, 12)), caffemodel(WEIGHTS)))
    other = Network(*write_network(tmp_path / "old", old, caffemodel(WEIGHTS, legacy=True)))
    for name in one.layers[1:]:
        assert np.array_equal(one.forward(PICTURES, name, 2), other.forward(PICTURES, name, 2))
