"""network: a user's Caffe files give the vectors that a real server gives, or a NetworkError."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caffe_writer import caffemodel, write_network
from numpy.typing import NDArray

from ddsim.embedded.files import NetworkError
from ddsim.embedded.network import Network, ShapeMismatch, UnknownLayer
from ddsim.embedded.pictures import Preprocessing, decode, prepare

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
TINY = RECORDINGS / "models" / "tiny"
MODELS = Path(__file__).parents[4] / "shared" / "models"

Array = NDArray[np.float32]

SIZES = "memory_data_param { channels: 2 height: 6 width: 6 }"
HEAD = f'layer {{ name: "data" type: "MemoryData" top: "data" top: "label" {SIZES} }}'
RESIDUAL = (
    HEAD
    + """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { use_global_stats: true } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "conv2" type: "Convolution" bottom: "conv" top: "conv2"
        convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "conv2" bottom: "conv" top: "sum" }
layer { name: "relu2" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
)


def residual_weights() -> dict[str, list[Array]]:
    """Weights for RESIDUAL, so that no step leaves its input as it was."""
    random = np.random.default_rng(7)

    def numbers(*shape: int) -> Array:
        return random.normal(size=shape).astype(np.float32)

    return {
        "conv": [numbers(4, 2, 3, 3)],
        "bn": [numbers(4), random.random(4).astype(np.float32) + 1, np.array([2.0], np.float32)],
        "scale": [numbers(4), numbers(4)],
        "conv2": [numbers(4, 4, 1, 1), numbers(4)],
        "fc": [numbers(3, 4), numbers(3)],
    }


def residual_steps(weights: dict[str, list[Array]], x: Array) -> dict[str, Array]:
    """The same network in numpy: what each layer gives for one picture (2, 6, 6)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    steps: dict[str, Array] = {"data": x}
    steps["conv"] = np.einsum("ihwkl,oikl->ohw", windows, weights["conv"][0])

    def per_channel(values: Array) -> Array:
        return values.reshape(-1, 1, 1)

    mean, variance, factor = weights["bn"]
    steps["bn"] = (steps["conv"] - per_channel(mean / factor)) / np.sqrt(per_channel(variance / factor) + 1e-5)
    steps["scale"] = steps["bn"] * per_channel(weights["scale"][0]) + per_channel(weights["scale"][1])
    steps["relu"] = np.maximum(steps["scale"], 0)
    mixed = np.einsum("ihw,oi->ohw", steps["relu"], weights["conv2"][0][:, :, 0, 0])
    steps["conv2"] = mixed + per_channel(weights["conv2"][1])
    steps["sum"] = steps["conv2"] + steps["relu"]
    steps["relu2"] = np.maximum(steps["sum"], 0)
    steps["pool"] = steps["drop"] = steps["relu2"].mean(axis=(1, 2))
    steps["fc"] = weights["fc"][0] @ steps["pool"] + weights["fc"][1]
    powers = np.exp(steps["fc"] - steps["fc"].max())
    steps["prob"] = powers / powers.sum()
    return steps


@pytest.fixture(scope="module")
def tiny() -> Network:
    """The recordings' own network."""
    return Network(TINY / "deploy.prototxt", TINY / "tiny.caffemodel")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Network]:
    """Loads a network from a definition and weights given in the test."""

    def loaded(definition: str, weights: dict[str, list[Array]] | bytes) -> Network:
        data = weights if isinstance(weights, bytes) else caffemodel(weights)
        return Network(*write_network(tmp_path, definition, data))

    return loaded


def recorded_vectors(scenario: str) -> list[tuple[str, str, list[float], Array]]:
    """(picture, layer, mean, vector) of each extraction of one picture in a recording."""
    found = []
    for exchange in json.loads((RECORDINGS / "wire" / f"{scenario}.json").read_text("utf-8"))["exchanges"]:
        request: Any = exchange.get("request", {}).get("json") or {}
        if len(request.get("ids", [])) != 1 or exchange["response"]["status"] != 200:
            continue
        parameters = request["parameters"]
        vals = exchange["response"]["json"]["body"]["predictions"][0]["vals"]
        mean = parameters.get("input", {}).get("mean", [])
        found.append(
            (request["data"][0]["$image"], parameters["mllib"]["extract_layer"], mean, np.array(vals, np.float32))
        )
    return found


def picture(name: str, size: int, mean: list[float]) -> Array:
    """A recorded picture as the network takes it."""
    return prepare(decode((RECORDINGS / "images" / name).read_bytes()), Preprocessing(size, size, tuple(mean)))[
        np.newaxis
    ]


def cosine(a: Array, b: Array) -> float:
    """The cosine of the angle between two vectors."""
    return float(a.astype(float) @ b.astype(float) / np.linalg.norm(a.astype(float)) / np.linalg.norm(b.astype(float)))


def test_tiny_network_is_described_as_the_real_server_does(tiny: Network) -> None:
    """Head, shape, classes and the number of weights are those of the recordings."""
    assert tiny.head == "MemoryData"
    assert tiny.input_shape == (3, 32, 32)
    assert tiny.classes == 5
    assert tiny.parameters == 6952
    assert tiny.layers == ("data", "conv1", "relu1", "pool1", "fc1", "relu2", "fc2", "prob")


def test_vectors_of_the_tiny_network_are_the_recorded_ones(tiny: Network) -> None:
    """pool1, fc1 (not yet rectified), fc2 and prob agree with wire/62 in every number."""
    recorded = recorded_vectors("62-golden-tiny-pool1")
    assert {layer for _, layer, _, _ in recorded} == {"pool1", "fc1", "fc2", "prob"}
    for name, layer, mean, vector in recorded:
        result = tiny.forward(picture(name, 32, mean), layer, 1)
        assert result.dtype == np.float32
        assert result[0] == pytest.approx(vector, abs=1e-4)


def test_vectors_of_squeezenet_are_the_recorded_ones() -> None:
    """pool10 of a pretrained network agrees with wire/61 to a cosine above 0.9999."""
    folder = MODELS / "squeezenet_v1.1"
    if not folder.exists():
        pytest.skip(f"the pretrained network is not at {folder}")
    network = Network(folder / "deploy.prototxt", folder / "squeezenet_v1.1.caffemodel")
    assert network.parameters == 1231552
    recorded = recorded_vectors("61-golden-squeezenet-pool10")
    assert len(recorded) >= 7
    for name, layer, mean, vector in recorded:
        assert cosine(network.forward(picture(name, 227, mean), layer, 1)[0], vector) > 0.9999


def test_relu6_is_known() -> None:
    """MobileNet's ReLU6 layers cut at 6, and its convolutions are given before they are cut."""
    folder = MODELS / "mobilenet_v2_tf2"
    if not folder.exists():
        pytest.skip(f"the pretrained network is not at {folder}")
    network = Network(folder / "deploy.prototxt", folder / "mobilenet_v2_tf2.caffemodel")
    inputs = picture("chair1.jpg", 224, [127, 127, 127])
    before, after = network.forward(inputs, "conv1", 1), network.forward(inputs, "relu1", 1)
    assert before.min() < 0
    assert before.max() > 6
    assert np.allclose(after, np.clip(before, 0, 6), atol=1e-5)


def test_every_layer_gives_what_it_has_computed_itself(load: Callable[..., Network]) -> None:
    """No layer's values include those that come after it, in place or not, in whatever order they are asked for."""
    weights = residual_weights()
    network = load(RESIDUAL, weights)
    inputs = np.random.default_rng(3).normal(size=(2, 2, 6, 6)).astype(np.float32)
    expected = [residual_steps(weights, x) for x in inputs]
    for layer in (*network.layers, *reversed(network.layers)):
        result = network.forward(inputs, layer, 2)
        for vector, steps in zip(result, expected, strict=True):
            assert vector == pytest.approx(steps[layer].ravel(), abs=1e-4), layer


def test_without_a_layer_the_last_one_is_given(tiny: Network) -> None:
    """None means the output of the network."""
    inputs = picture("chair1.jpg", 32, [])
    assert np.array_equal(tiny.forward(inputs, None, 1), tiny.forward(inputs, "prob", 1))


def test_input_layer_gives_the_pictures(tiny: Network) -> None:
    """The input layer's name gives what was put in, flattened."""
    inputs = picture("chair1.jpg", 32, [])
    assert np.array_equal(tiny.forward(inputs, "data", 1), inputs.reshape(1, -1))


@pytest.mark.parametrize("layer", ["pool1", "fc1", "prob"])
def test_vectors_do_not_depend_on_the_batch(tiny: Network, layer: str) -> None:
    """One at a time, a few or all at once: the same bits."""
    inputs = np.random.default_rng(5).random((19, 3, 32, 32), dtype=np.float32) * 255
    alone = np.concatenate([tiny.forward(inputs[i : i + 1], layer, 1) for i in range(len(inputs))])
    for batch in (1, 2, 7, 19, 1000):
        assert np.array_equal(tiny.forward(inputs, layer, batch), alone)


def test_no_pictures_give_no_vectors(tiny: Network) -> None:
    """An empty batch keeps the width of the layer."""
    assert tiny.forward(np.empty((0, 3, 32, 32), np.float32), "fc1", 4).shape == (0, 16)


def test_threads_take_turns(tiny: Network) -> None:
    """Calls from several threads, for several layers, do not mix up their vectors."""
    inputs = np.random.default_rng(9).random((8, 1, 3, 32, 32), dtype=np.float32) * 255
    calls = [(x, layer) for x in inputs for layer in ("pool1", "fc1", "prob")]
    expected = [tiny.forward(x, layer, 1) for x, layer in calls]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda call: tiny.forward(*call, 1), calls))
    assert all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True))


@pytest.mark.parametrize("layer", ["nosuch", "POOL1", "", "label"])
def test_unknown_layer_is_refused(tiny: Network, layer: str) -> None:
    """Layer names are exact; the message names those there are, and the network still works."""
    with pytest.raises(UnknownLayer, match="pool1"):
        tiny.forward(picture("chair1.jpg", 32, []), layer, 1)
    assert tiny.forward(picture("chair1.jpg", 32, []), "fc2", 1).shape == (1, 5)


@pytest.mark.parametrize("shape", [(1, 3, 40, 40), (1, 1, 32, 32), (3, 32, 32)])
def test_pictures_of_another_size_are_refused(tiny: Network, shape: tuple[int, ...]) -> None:
    """Pictures that do not fit the input are a ShapeMismatch that names both sizes."""
    with pytest.raises(ShapeMismatch, match="32"):
        tiny.forward(np.zeros(shape, np.float32), "fc1", 1)


def test_batch_of_none_is_refused(tiny: Network) -> None:
    """A batch size below 1 is a mistake of the caller."""
    with pytest.raises(ValueError, match="batch is 0"):
        tiny.forward(np.zeros((1, 3, 32, 32), np.float32), "fc1", 0)


@pytest.mark.parametrize("head", ["Input", "input"])
def test_other_heads_load_and_tell_what_they_are(load: Callable[..., Network], head: str) -> None:
    """Whether the input is a layer or a field makes no difference to the vectors."""
    shapes = {
        "Input": 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 6, 6] } } }',
        "input": 'input: "data" input_dim: 1 input_dim: 2 input_dim: 6 input_dim: 6 ',
    }
    inputs = np.ones((1, 2, 6, 6), np.float32)
    expected = load(RESIDUAL, residual_weights()).forward(inputs, None, 1)
    network = load(RESIDUAL.replace(HEAD, shapes[head]), residual_weights())
    assert network.head == head
    assert np.array_equal(network.forward(inputs, None, 1), expected)


def test_weights_of_an_old_file_are_the_same(load: Callable[..., Network]) -> None:
    """Files from before 2015, as that of the bundled GoogLeNet, load like those of today."""
    inputs = np.ones((1, 2, 6, 6), np.float32)
    expected = load(RESIDUAL, residual_weights()).forward(inputs, None, 1)
    network = load(RESIDUAL, caffemodel(residual_weights(), legacy=True))
    assert np.array_equal(network.forward(inputs, None, 1), expected)


def test_transform_of_the_head_acts_before_the_network(load: Callable[..., Network]) -> None:
    """A mean in the MemoryData layer is subtracted from what forward is given, once."""
    inputs = np.full((1, 2, 6, 6), 3, np.float32)
    expected = load(RESIDUAL, residual_weights()).forward(inputs, "fc", 1)
    shifted = HEAD[:-1] + "transform_param { mean_value: 10 } }"
    network = load(RESIDUAL.replace(HEAD, shifted), residual_weights())
    assert network.forward(inputs + 10, "fc", 1) == pytest.approx(expected)
    assert network.forward(inputs + 10, "data", 1)[0, 0] == 3


@pytest.mark.parametrize(
    ("layer", "blobs", "problem"),
    [
        ("fc", None, "'fc' (InnerProduct): has no weights under this name"),
        ("bn", None, "'bn' (BatchNorm): has no weights"),
        ("fc", [(7, 4), (7,)], "asks for weights of shape [[3, 4], [3]], the file holds [[7, 4], [7]]"),
        ("fc", [(3, 5), (3,)], "asks for weights of shape [[3, 4], [3]], the file holds [[3, 5], [3]]"),
        ("fc", [(4, 3), (3,)], "'fc'"),
        ("fc", [(3, 4)], "'fc'"),
        ("conv", [(5, 2, 3, 3)], "'conv' (Convolution)"),
        ("conv", [(8, 2, 3, 3)], "asks for weights of shape [[4, 2, 3, 3]], the file holds [[8, 2, 3, 3]]"),
        ("conv", [(4, 2, 3, 3), (4,)], "'conv'"),
        ("conv", [(72,)], "'conv'"),
        ("bn", [(3,), (3,), (1,)], "'bn' (BatchNorm)"),
        ("bn", [(40,), (40,), (1,)], "'bn'"),
        ("scale", [(4,)], "'scale' (Scale)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    load: Callable[..., Network], layer: str, blobs: list[tuple[int, ...]] | None, problem: str
) -> None:
    """Missing, short, long or transposed weights name their layer; nothing is read beyond a blob."""
    weights = residual_weights()
    del weights[layer]
    if blobs is not None:
        weights[layer] = [np.ones(shape, np.float32) for shape in blobs]
    with pytest.raises(NetworkError) as raised:
        load(RESIDUAL, weights)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Softmax", "NoSuchType", "NoSuchType"),
        ('bottom: "pool"', 'bottom: "nosuch"', "nosuch"),
        ("num_output: 3", "num_output: 3 group: 0", "group is 0"),
        ('bottom: "pool" top: "fc"', 'bottom: "pool" bottom: "pool" top: "fc"', "takes 2 inputs"),
        ("kernel_size: 3", "kernel_size: 300", "deploy.prototxt"),
        ("layer {", "layers {", "old format has no type"),
        ("Softmax", 'Soft"max', "deploy.prototxt"),
    ],
)
def test_definitions_that_cannot_run_are_refused(
    load: Callable[..., Network], old: str, new: str, problem: str
) -> None:
    """An unknown type, a loose end or an impossible number is a NetworkError when loading, not later."""
    with pytest.raises(NetworkError) as raised:
        load(RESIDUAL.replace(old, new), residual_weights())
    assert problem in str(raised.value)


def test_damaged_weights_are_refused(load: Callable[..., Network]) -> None:
    """A file cut off anywhere is a NetworkError with its path."""
    whole = caffemodel(residual_weights())
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        with pytest.raises(NetworkError, match=r"net\.caffemodel"):
            load(RESIDUAL, whole[:length])


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_file_is_named(tmp_path: Path, missing: int) -> None:
    """A path that leads nowhere is a NetworkError that says which."""
    paths = write_network(tmp_path, RESIDUAL, caffemodel(residual_weights()))
    paths[missing].unlink()
    with pytest.raises(NetworkError, match=paths[missing].name):
        Network(*paths)
