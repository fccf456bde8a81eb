"""The settings of one way to search: typed, complete and checked. :mod:`ddsim.config.loading` reads them from YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from ddsim.catalogue import Patterns, Where
from ddsim.config.database import DATABASE_DEFAULTS, database_rules
from ddsim.config.index import BackendName, IndexSettings, recipe_rules
from ddsim.config.part import Part
from ddsim.config.reference import CatalogueSettings
from ddsim.config.routing import Routing
from ddsim.config.server import Server
from ddsim.config.services import Classification, Similarity, own_folder_rules, service_rules
from ddsim.config.upload import UploadSettings
from ddsim.config.values import Categories, LocalPath
from ddsim.config.web import Web
from ddsim.config.yamlfile import Key
from ddsim.deepdetect import NO_INDEX, ServiceSpec
from ddsim.errors import ConfigError
from ddsim.networks import centre_file, centre_name, put_right
from ddsim.pictures import Upload
from ddsim.showing import clipped


class RulesBroken(ValueError):
    """Settings that are fine one by one do not go together; ``broken`` lists key path and reason."""

    def __init__(self, broken: list[tuple[Key, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, key))}: {reason}" for key, reason in broken))
        self.broken = broken


@dataclass(frozen=True)
class _Whence:
    """The file that settings were read from; wherever that is, equal settings are equal."""

    file: Path | None = field(default=None, compare=False)


class Settings(Part):
    """One way to search, complete."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    """What this way is called; by default the file's name without its ending."""
    server: Server = Server()
    """Where pictures are turned into vectors."""
    reference: CatalogueSettings = Field(alias="catalogue")
    """Folder of the reference pictures, ``<category>/<picture>``, or a mapping with it as ``folder``."""
    state: LocalPath
    """Folder where ddsim keeps what it must remember."""
    classification: Classification | None = None
    """The service that names what a picture shows; without one, the neighbours' categories decide."""
    trained: bool = False
    """Whether a classifier that was trained on the catalogue tells categories (``classification: trained``)."""
    similarity: Similarity
    """The service that turns pictures into vectors."""
    index: IndexSettings = IndexSettings()
    """Where vectors live and how pictures are sent there."""
    routing: Routing = Routing()
    """Which categories are searched for a photo."""
    categories: Categories = Field(default={})
    """The network's labels, or their first words alone -> categories of the catalogue."""
    upload: UploadSettings = UploadSettings()
    """What is done to pictures before they are sent."""
    web: Web = Web()
    """How the web page looks and speaks, and what it takes."""
    _whence: _Whence = PrivateAttr(default=_Whence())

    def __repr__(self) -> str:
        server = clipped(self.server.shown)
        layer, catalogue = clipped(repr(self.similarity.extract_layer)), clipped(repr(str(self.catalogue)))
        return f"<Settings: {self.name!r}, server {server}, layer {layer}, catalogue {catalogue}>"

    def __str__(self) -> str:
        return repr(self)

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        broken = list(_broken_rules(self))
        if broken:
            raise RulesBroken(broken)
        return self

    @property
    def catalogue(self) -> Where:
        """Where the reference pictures are."""
        return self.reference.folder

    @property
    def file(self) -> Path | None:
        """The file that they were read from, which is no part of them; None where nobody knows."""
        return self._whence.file

    def read_from(self, file: Path) -> Settings:
        """The same, read from this file."""
        same = self.model_copy()
        same._whence = _Whence(file)
        return same

    def patterns(self) -> Patterns:
        """What of the catalogue is passed over."""
        return Patterns(self.reference.exclude, self.reference.include)

    def with_backend(self, backend: BackendName) -> Settings:
        """The same with vectors living elsewhere.

        Args:
            backend: where; see ``index.backend``.

        Raises:
            ConfigError: there is no such home, or it does not go together with the rest.
        """
        if backend not in (homes := get_args(BackendName)):
            raise ConfigError(f"index.backend: {backend!r} given, expected one of {', '.join(homes)}")
        changes = {"backend": backend} | ({} if backend == "milvus" else DATABASE_DEFAULTS)
        changed = self.model_copy(update={"index": self.index.model_copy(update=changes)})
        broken = list(_broken_rules(changed))
        if broken:
            raise ConfigError(str(RulesBroken(broken)))
        return changed

    def classification_spec(self) -> ServiceSpec | None:
        """The classification service, None where the settings have none.

        Raises:
            ConfigError: a file of one's own is not what it should be; see :func:`ddsim.networks.put_right`.
        """
        return self._put_right(self.classification.spec("supervised")) if self.classification else None

    def _put_right(self, spec: ServiceSpec) -> ServiceSpec:
        """With files that the embedded server reads as they are meant."""
        if not self.server.embedded or spec.mllib != "caffe":
            return spec
        files: dict[str, str] = {}
        if spec.definition:
            files["definition"] = str(put_right(Path(spec.definition), "definition"))
        if spec.weights:
            files["weights"] = str(put_right(Path(spec.weights), "weights"))
        if spec.corresp:
            files["corresp"] = str(put_right(Path(spec.corresp), "labels", spec.nclasses))
        return spec.model_copy(update=files)

    def similarity_spec(self) -> ServiceSpec:
        """The similarity service. Torch has no unsupervised type and extracts on a supervised service.

        Raises:
            ConfigError: a centre-weighted definition cannot be derived here; see :func:`ddsim.networks.centre_file`. Or
                a file of one's own is not what it should be; see :func:`ddsim.networks.put_right`.
        """
        spec = self._put_right(
            self.similarity.spec("unsupervised" if self.similarity.mllib == "caffe" else "supervised")
        )
        if self.similarity.pooling == "plain" or spec.definition is None:
            return spec
        return spec.model_copy(update={"definition": self._centre_definition(spec.definition)})

    def _centre_definition(self, definition: str) -> str:
        if not self.server.embedded:
            return centre_name(definition, self.similarity.power)
        return str(centre_file(Path(definition), self.similarity.extract_layer, self.similarity.power))

    def check_pooling(self) -> None:
        """See to it that a centre-weighted definition can be had where one is asked for, whatever else is missing.

        Raises:
            ConfigError: see :func:`ddsim.networks.centre_file`.
        """
        definition = self.similarity.definition
        if definition is not None and self.server.embedded:
            self._centre_definition(str(put_right(Path(definition), "definition")))

    def upload_options(self) -> Upload:
        """How pictures are prepared; shrunk ones suit the larger input where the two services' differ."""
        sides = [(part.width, part.height) for part in (self.similarity, self.classification) if part]
        largest = (max(width for width, _ in sides), max(height for _, height in sides))
        limits = self.upload.model_dump(exclude={"shrink"})
        return Upload(shrink=largest if self.upload.shrink else None, pixels=self.server.embedded, **limits)


def _broken_rules(settings: Settings) -> Iterator[tuple[Key, str]]:
    similarity, classification = settings.similarity, settings.classification
    yield from service_rules("similarity", similarity, similarity.spec("unsupervised"))
    yield from _pooling_rules(settings)
    if classification:
        yield from service_rules("classification", classification, classification.spec("supervised"))
        if classification.service == similarity.service:
            yield ("similarity", "service"), f"{similarity.service!r} is the classification service's name too"
    if settings.routing.by == "service" and not (settings.trained or (classification and settings.categories)):
        missing = "categories" if classification else "classification"
        yield ("routing", "by"), f"the service cannot tell categories without {missing}: give them, or write neighbours"
    if settings.trained and settings.routing.by in ("neighbours", "none"):
        yield ("routing", "by"), f"{settings.routing.by} leaves the trained classifier out: write combined or service"
    if settings.index.metric != "l2" and settings.index.backend not in ("local", "milvus"):
        yield ("index", "metric"), "the server's index knows l2 only: write backend: local too, or leave it out"
    if settings.server.urls and settings.index.backend not in ("local", "milvus"):
        yield ("index", "backend"), f"server.urls names several servers, and {NO_INDEX}: write backend: local"
    yield from database_rules(settings.index, settings.index.backend)
    yield from recipe_rules(settings.index)
    if similarity.mllib == "torch":
        yield from _torch_rules(settings)
    else:
        yield from own_folder_rules(similarity, classification)


def _pooling_rules(settings: Settings) -> Iterator[tuple[Key, str]]:
    similarity = settings.similarity
    if similarity.pooling == "plain":
        if similarity.power != 1:
            yield ("similarity", "power"), "it belongs to pooling: centre: write that too, or leave it out"
    elif similarity.mllib != "caffe" or not similarity.definition:
        yield ("similarity", "pooling"), "centre is derived from a Caffe network's definition: name it with def"
    else:
        try:
            settings.check_pooling()
        except ConfigError as error:
            yield ("similarity", "pooling"), str(error)


def _torch_rules(settings: Settings) -> Iterator[tuple[Key, str]]:
    if settings.similarity.extract_layer not in ("last", "final"):
        # recordings/torch/wire/09: every other name is an unknown layer.
        yield ("similarity", "extract_layer"), "a Torch server knows only the layers last and final"
    if settings.index.backend not in ("local", "milvus"):
        # Official servers with Torch alone are built without similarity search (recordings/torch/wire/01, 11).
        yield ("index", "backend"), "with mllib torch write local: Torch servers come without an index"
