"""The settings of one way to search: typed, complete and checked. :mod:`ddsim.config.loading` reads them from YAML."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ddsim.catalogue import Patterns, Where
from ddsim.config.database import DATABASE_DEFAULTS, DatabaseSettings, database_rules
from ddsim.config.part import Part
from ddsim.config.values import (
    Categories,
    Certificates,
    Channels,
    DeviceIds,
    IndexType,
    LocalPath,
    PatternList,
    Pixels,
    Place,
    ServerPath,
    ServiceName,
    Size,
    Url,
    UrlPrefix,
    Urls,
    Word,
)
from ddsim.config.web import Web
from ddsim.config.yamlfile import Key
from ddsim.deepdetect import NO_INDEX, Credentials, ServiceSpec, shown_address, split_address
from ddsim.errors import ConfigError, InvalidRequest, UnsafeCall
from ddsim.networks import centre_file, centre_name, put_right
from ddsim.pictures import Upload
from ddsim.showing import clipped


class RulesBroken(ValueError):
    """Settings that are fine one by one do not go together; ``broken`` lists key path and reason."""

    def __init__(self, broken: list[tuple[Key, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, key))}: {reason}" for key, reason in broken))
        self.broken = broken


class Server(Part):
    """Where pictures are turned into vectors."""

    url: Url | None = "http://localhost:8080"
    """Address of a DeepDetect server; none means the server that is embedded in ddsim."""
    urls: Urls = ()
    """Addresses of several servers with the same network, in place of ``url``; all take the same user, password or
    token. Vectors are kept by ddsim then (``index.backend: local``)."""
    user: Word | None = None
    """Sent with ``password`` as HTTP basic authentication; both may stand in the address (user:password@host) too."""
    password: SecretStr | None = None
    """Never printed, and written nowhere. Better taken from the environment: ``${SOME_VARIABLE}``."""
    token: SecretStr | None = None
    """Sent as a bearer token in place of user and password; never printed, and written nowhere."""

    verify: Certificates = None
    """A file of certificates that an https server's is checked against; without it, or with ``true``, what this machine
    trusts, or the environment names (SSL_CERT_FILE, REQUESTS_CA_BUNDLE)."""

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, data: Any) -> Any:
        """Take user and password out of the addresses before anybody sees them there."""
        if not isinstance(data, dict):
            return data
        if data.get("urls") is not None:
            return _several(data)
        if not isinstance(data.get("url"), str):
            return data
        try:
            url, written = split_address(data["url"])
        except ValueError:
            return data  # the address is refused below
        return {**data, "url": url, **_given(written)}

    @model_validator(mode="after")
    def _one_way(self) -> Server:
        if self.token is not None and (self.user is not None or self.password is not None):
            raise ValueError("a token and a user or password are given: the server is sent one of them, leave one out")
        if self.embedded and self.credentials.header() is not None:
            raise ValueError("the embedded server takes no user, password or token: leave them out")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all servers; none for the embedded one."""
        return self.urls or (() if self.url is None else (self.url,))

    def one_by_one(self) -> tuple[Server, ...]:
        """Each of several servers as if it were the only one."""
        return tuple(self.model_copy(update={"url": url, "urls": ()}) for url in self.urls) or (self,)

    @property
    def shown(self) -> str:
        """The servers' addresses as a message names them."""
        return " and ".join(self.addresses) or "embedded"

    @property
    def certificates(self) -> str | None:
        """The file of ``verify``; None for what this machine trusts."""
        return None if self.verify is None else str(self.verify)

    @classmethod
    def at(cls, url: str) -> Server:
        """The server at an address, with a user and password in it kept apart.

        Raises:
            InvalidRequest: it is no address.
        """
        try:
            return cls.model_validate({"url": url})
        except ValidationError as error:
            raise InvalidRequest(
                f"server url {shown_address(url)!r}: expected something like http://localhost:8080"
            ) from error

    @property
    def credentials(self) -> Credentials:
        """What the server wants to see."""
        return Credentials(self.user, self.password, self.token)

    @property
    def embedded(self) -> bool:
        """Whether ddsim itself plays the server."""
        return self.url is None


def _given(written: Credentials) -> dict[str, Any]:
    return {key: value for key in ("user", "password") if (value := getattr(written, key)) is not None}


def _several(data: dict[str, Any]) -> dict[str, Any]:
    """The server section with several addresses; the first of them counts where one is asked for."""
    urls = data["urls"]
    urls = urls.replace(",", " ").split() if isinstance(urls, str) else urls
    if not isinstance(urls, (list, tuple)) or not all(isinstance(url, str) for url in urls):
        return data  # refused below
    if data.get("url") is not None:
        raise ValueError("both url and urls are given: leave one out")
    if not urls:
        raise ValueError("urls is empty: name the servers, or one of them by url")
    try:
        apart = [split_address(url) for url in urls]
    except ValueError:
        return data
    written = {_shown(credentials): credentials for _, credentials in apart}
    if len(written) > 1:
        raise ValueError("the servers in urls are given different users or passwords: write server.user and password")
    bare = [url.rstrip("/") for url, _ in apart]
    if twice := next((url for url in bare if bare.count(url) > 1), None):
        raise ValueError(f"urls names {shown_address(twice)} twice: leave one out")
    return {**data, "url": bare[0], "urls": bare if len(bare) > 1 else (), **_given(apart[0][1])}


def _shown(credentials: Credentials) -> tuple[str | None, str | None]:
    return credentials.user, credentials.password.get_secret_value() if credentials.password else None


class _Network(Part):
    name: Word | None = None
    """A network that ddsim knows, such as efficientnet-lite2: stands for its files, its labels and what it takes."""
    mllib: Literal["caffe", "torch"] = "caffe"
    """The server's library for networks."""
    create_repository: bool = False
    """Whether the server makes the repository; by default where definition and weights are named."""
    definition: ServerPath | None = Field(default=None, alias="def")
    """The network's definition (deploy.prototxt); without it the server looks for one in the repository."""
    weights: ServerPath | None = None
    """The network's weights (.caffemodel); without them the server looks for some in the repository."""
    corresp: ServerPath | None = None
    """The network's labels, a line each; without them the server looks for some in the repository."""
    template: Word | None = None
    """Name of a network definition that comes with the server, instead of ``def``."""
    templates: ServerPath | None = None
    """The server's folder of templates, where it is not at its usual place."""
    width: Pixels = 224
    """Width of the network's input, in pixels."""
    height: Pixels = 224
    """Height of the network's input, in pixels."""
    mean: Channels = ()
    """Subtracted from every pixel, a number a channel: blue, green, red for Caffe networks; none when empty."""
    std: Channels = ()
    """Every pixel is divided by it, as ``mean``; Torch only."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """Every pixel is multiplied by it first; Torch only."""
    rgb: bool = False
    """Whether the network wants red, green, blue; Caffe networks want blue, green, red."""
    gpu: bool = False
    """Whether the server computes on a GPU."""
    gpuid: DeviceIds = ()
    """Which GPUs, -1 for all of them."""


class Network(_Network):
    """What both services run; each of them may override any of it."""

    repository: ServerPath | None = None
    """The folder that the service writes into, as the server sees it."""
    nclasses: Annotated[int, Field(ge=1)] | None = None
    """How many labels the network knows."""


_NOT_SENT = {"service", "name", "gpuid", "extract_layer", "index_type", "pooling", "power"}


class Service(_Network):
    """A network on the server under a name."""

    service: ServiceName
    """The service's name on the server."""
    repository: ServerPath
    """The folder that the service writes into, as the server sees it."""
    nclasses: Annotated[int, Field(ge=1)]
    """How many labels the network knows."""

    def spec(self, type_: Literal["supervised", "unsupervised"]) -> ServiceSpec:
        """This service as the client creates it."""
        return ServiceSpec(
            name=self.service,
            type=type_,
            gpuid=self.gpuid[0] if len(self.gpuid) == 1 else self.gpuid or None,
            **self.model_dump(exclude=_NOT_SENT),
        )

    def facts(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """What its answers depend on, as JSON, without some of it.

        A network's name is left out, as its files count. What did not exist in older versions counts only where it
        changes something, so that what they indexed is still known.
        """
        found = self.model_dump(mode="json", exclude={"name", *exclude})
        if found.get("pooling") == "plain":
            del found["pooling"], found["power"]
        return found


class Classification(Service):
    """The service that names what a picture shows."""


class Similarity(Service):
    """The service that turns pictures into vectors and, on the server's own index, finds similar ones."""

    extract_layer: Word
    """The layer whose values describe a picture, such as pool5/7x7_s1; on Torch ``last`` or ``final``."""
    pooling: Literal["plain", "centre"] = "plain"
    """``centre``: the middle of a photo counts most; for layers that average a map of the network, or give it."""
    power: Annotated[float, Field(ge=1, le=10)] = 1.0
    """With ``pooling: centre`` the map's values are raised to it first, and the root is taken after."""
    index_type: IndexType = "Flat"
    """FAISS index of the server. Flat is exact; IVF answers nothing where pictures are fewer than its lists."""


BackendName: TypeAlias = Literal["server", "local", "milvus", "auto"]


class IndexSettings(DatabaseSettings):
    """Where vectors live and how pictures are sent there."""

    backend: BackendName = "server"
    """``server``: DeepDetect's own index; ``local``: ddsim keeps the vectors; ``milvus``: a database does; ``auto``:
    what the server can do."""
    metric: Literal["l2", "cosine"] = "l2"
    """What makes two vectors near: ``l2`` their distance, ``cosine`` the angle between them (``local`` and ``milvus``
    only)."""
    normalisation: Literal["none", "l2", "power"] = "none"
    """Vectors at length 1 before they are compared: ``l2``; after square roots of their values: ``power``
    (``local`` only)."""
    pca: Annotated[int, Field(ge=1, le=65536)] | None = None
    """So many principal components are compared in place of the vectors themselves (``local`` only)."""
    whiten: bool = False
    """Whether all of these components have the same weight (``local`` only)."""
    precision: Literal["float32", "float16"] = "float32"
    """How vectors are kept, on disk and in memory: ``float16`` takes half the room and rounds to three digits
    (``local`` only)."""
    approximate: Literal["auto", "never"] = "never"
    """``auto``: from 50,000 pictures on a search looks at a part of the vectors only, which finds 99 of 100 of the ten
    nearest; ``never``: it always looks at all of them (``local`` only)."""
    batch_size: Annotated[int, Field(ge=1, le=256)] = 32
    """Pictures in one call at most."""
    batch_bytes: Annotated[Size, Field(ge=100_000, le=64_000_000)] = 16_000_000
    """Size of the pictures in one call at most, as they are sent; a single larger one goes alone."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that prepare pictures, and that the embedded server's networks run on; by default one for each core."""
    checkpoint: Annotated[int, Field(ge=1)] = 1000
    """After so many pictures the index is written to disk; if a server dies, so many and a batch are sent again."""
    cache: Annotated[Size, Field(ge=0)] = 4_000_000_000
    """Bytes of disk for vectors by their pictures' content, so that none is computed twice: not after a folder was
    renamed, nor for another catalogue, nor after an evaluation (``local`` only); 0 keeps none."""
    max_tombstones: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the index that may be rows of removed or replaced pictures; above it, a rebuild is advised."""
    unused_days: Annotated[float, Field(ge=1)] | None = 30
    """After so many days in which nobody has used it, a service that ddsim made is removed from the server; whoever
    needs it makes it again. null keeps them all."""


class Routing(Part):
    """Which categories are searched for a photo."""

    by: Literal["combined", "service", "neighbours", "none"] = "combined"
    """Who says what a photo shows: the classification ``service``, the vote of the nearest ``neighbours``, both of them
    ``combined``, or ``none``: all categories are searched. Without a classification service the neighbours decide."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The most probable categories that together hold this share of the probability are searched."""
    most: Annotated[int, Field(ge=1)] = 3
    """No more categories than that."""
    voters: Annotated[int, Field(ge=1, le=100)] = 15
    """How many of the nearest neighbours vote."""


class UploadSettings(Part):
    """What is done to pictures before they are sent."""

    shrink: bool = True
    """Whether pictures are shrunk to the network's input before they are sent."""
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """JPEG quality of what is sent."""
    max_pixels: Annotated[int, Field(ge=1)] = Upload().max_pixels
    """Pictures of which more would be decoded are refused; shrunk JPEGs are decoded at down to an eighth of their
    sides."""
    max_bytes: Annotated[Size, Field(ge=1)] = Upload().max_bytes
    """Files with more are refused before they are read."""


class CatalogueSettings(Part):
    """The reference pictures, and which of the files there are some."""

    folder: Place
    """Folder of the reference pictures, ``<category>/<picture>``; or where else they are: ``s3://bucket/folder``,
    ``gs://``, ``https://`` with a listing, or a table (.csv, .parquet) with the columns url and category."""
    endpoint: Url | None = None
    """Address of a service like S3 or Google's that is another one, such as MinIO's."""
    anonymous: bool = False
    """Whether buckets are read without credentials."""
    allow_private: bool = False
    """Whether addresses that a table or a redirect names may be of this machine or a private network."""
    readers: Annotated[int, Field(ge=1, le=256)] = 16
    """So many pictures are read at a time, where they are not on this machine."""
    exclude: PatternList = ()
    """Patterns in gitignore's syntax: what they match is passed over. A file .ddsimignore in the folder adds more."""
    include: PatternList = ()
    """Patterns in gitignore's syntax: where there are any, files that match none of them are passed over."""
    url_prefix: UrlPrefix | None = None
    """Where the page takes pictures from that are not in the folder, such as https://cdn.example/catalogue: the address
    of a picture is this, a slash and its name."""
    vanish_limit: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A run that would lose a larger share of the catalogue stops, as a disk may not be there; 1 lets all go."""


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
    yield from _service_rules("similarity", similarity, similarity.spec("unsupervised"))
    yield from _pooling_rules(settings)
    if classification:
        yield from _service_rules("classification", classification, classification.spec("supervised"))
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
    yield from _recipe_rules(settings.index)
    if similarity.mllib == "torch":
        yield from _torch_rules(settings)
    else:
        yield from _own_folder_rules(similarity, classification)


def _recipe_rules(index: IndexSettings) -> Iterator[tuple[Key, str]]:
    given = {"normalisation": index.normalisation != "none", "pca": index.pca is not None, "whiten": index.whiten}
    given |= {"precision": index.precision != "float32", "approximate": index.approximate != "never"}
    who = "the database" if index.backend == "milvus" else "the server"
    for key in (key for key, used in given.items() if used and index.backend != "local"):
        yield ("index", key), f"{who} compares vectors as they are: write backend: local too, or leave it out"
    if index.whiten and index.pca is None:
        yield ("index", "whiten"), "it weighs principal components: say with pca how many, or leave it out"


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


def _service_rules(name: str, service: Service, spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    try:
        spec.body()
    except UnsafeCall as error:
        yield (name, "repository"), str(error)
    if service.gpuid and not service.gpu:
        # Read in the server's source; no recording, for want of a GPU.
        yield (name, "gpuid"), "a server that is told a GPU uses it, whatever gpu says: add gpu: true or leave it out"
    if service.mllib == "caffe":
        # recordings/wire/63: the values come out the same with and without.
        if service.scale not in (None, 1.0):
            yield (name, "scale"), "a Caffe server ignores it: leave it out"
        if service.std:
            yield (name, "std"), "a Caffe server ignores it: leave it out"
    if service.template and service.definition:
        yield (name, "template"), "def is given too: leave one of them out"


def _torch_rules(settings: Settings) -> Iterator[tuple[Key, str]]:
    if settings.similarity.extract_layer not in ("last", "final"):
        # recordings/torch/wire/09: every other name is an unknown layer.
        yield ("similarity", "extract_layer"), "a Torch server knows only the layers last and final"
    if settings.index.backend not in ("local", "milvus"):
        # Official servers with Torch alone are built without similarity search (recordings/torch/wire/01, 11).
        yield ("index", "backend"), "with mllib torch write local: Torch servers come without an index"


def _own_folder_rules(similarity: Similarity, classification: Classification | None) -> Iterator[tuple[Key, str]]:
    why = "what clears the index could take the network with it"
    if not (similarity.weights and (similarity.definition or similarity.template)):
        missing = "weights" if not similarity.weights else "def"
        yield (
            ("similarity", missing),
            f"missing: name both def and weights, so that the index can have a repository of its own, or {why}",
        )
    inside = {"def": similarity.definition, "weights": similarity.weights, "corresp": similarity.corresp}
    if classification:
        inside["classification.repository"] = classification.repository
    repository = PurePosixPath(posixpath.normpath(similarity.repository))
    for key, path in inside.items():
        if path and PurePosixPath(posixpath.normpath(path)).is_relative_to(repository):
            holds = f"{similarity.repository} holds {key} ({path})"
            yield ("similarity", "repository"), f"{holds}: give similarity a repository of its own, or {why}"
            return
