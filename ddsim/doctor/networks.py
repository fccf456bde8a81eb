"""Whether the configured networks work: their files, the layer, the labels. Tried on the server, and cleared away."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image

from ddsim.config import Classification, Settings, Similarity
from ddsim.deepdetect import Canary, Client, Label, ServiceInfo, ServiceSpec, differences, drawn, mark_of, shared
from ddsim.doctor.bench import Bench
from ddsim.doctor.checks import Check, Note, Stopped, milliseconds, timed
from ddsim.errors import ApiError, BadParameter, ServerFault, ServiceNotFound
from ddsim.pictures import Upload
from ddsim.search import Collection
from ddsim.showing import counted
from ddsim.vectors import service_of


@dataclass
class Networks:
    """Tries the configured networks: with the configured service if it is there, otherwise with one on a bench.

    Attributes:
        client: the server.
        settings: the configuration.
        bench: makes a bench for a repository.
        labels: all that the classification service can answer; None where nobody knows.
        left: what a bench could not remove.
        compare: whether to have vectors of the drawn pictures, which tell one server's network from another's.
        canary: those; None until they were had.
    """

    client: Client
    settings: Settings
    bench: Callable[[str], Bench]
    labels: tuple[Label, ...] | None = None
    left: list[str] = field(default_factory=list)
    compare: bool = False
    canary: Canary | None = None

    def similarity(self, note: Note) -> None:
        """Service, network, layer, and the length of its vectors."""
        part = self.settings.similarity
        with self._having(part, self._similarity_spec(), note) as service:
            self._vectors(service, part, note)

    def classification(self, note: Note) -> None:
        """Service and network, and which labels it has."""
        part, spec = self.settings.classification, self.settings.classification_spec()
        if part is None or spec is None:
            note(Check("classification", "skipped", "none is configured: only neighbours tell what a picture shows"))
            return
        with self._having(part, shared(spec), note) as service:
            self._labels(service, part, note)

    # The service

    def _similarity_spec(self) -> ServiceSpec:
        """Of what is indexed under this configuration, where anything is."""
        if not os.path.isdir(self.settings.state / self.settings.name):
            return shared(self.settings.similarity_spec())
        with Collection(self.settings, None) as collection:
            return service_of(self.client, self.settings, collection.manifest)

    @contextmanager
    def _having(self, part: Similarity | Classification, spec: ServiceSpec, note: Note) -> Iterator[str]:
        """A service that runs the configured network."""
        found = self._found(spec.name)
        if found is not None and self._is_as_configured(part, spec, found, note):
            yield spec.name
            return
        if not (part.weights and (part.definition or part.template)):
            # A server writes config.json wherever a service is created (recordings/wire/04-service-repository).
            raise Stopped(
                Check(
                    f"{_word(part)} network",
                    "skipped",
                    "not tried: it lies in the service's own folder, where a trial would leave a file behind",
                    "run `ddsim index`, which creates the service, and `ddsim doctor` again",
                )
            )
        bench = self.bench(part.repository)
        try:
            with bench:
                self._check_repository(bench, part, note)
                yield self._trial(bench, part, spec)
        finally:
            self.left += bench.left

    def _found(self, name: str) -> ServiceInfo | None:
        try:
            return self.client.get_service(name)
        except ServiceNotFound:
            return None

    def _is_as_configured(
        self, part: Similarity | Classification, spec: ServiceSpec, found: ServiceInfo, note: Note
    ) -> bool:
        if isinstance(part, Similarity) and found.repository.startswith(spec.repository.rstrip("/") + "/"):
            # The home of the vectors gives each index a folder beneath the configured one.
            spec = spec.model_copy(update={"repository": found.repository})
        differing = differences(spec, found)
        if not differing:
            note(Check("service", "ok", f"{spec.name} is there, as configured"))
            return True
        rows = "; ".join(f"{key}: configured {want!r}, found {have!r}" for key, (want, have) in differing.items())
        message = f"{spec.name} is there with other settings ({rows})"
        if isinstance(part, Similarity) and (mark_of(found).owner or "").startswith(f"{self.settings.name} "):
            hint = "the next `ddsim index` creates it anew, as it belongs to this configuration"
            note(Check("service", "warning", message, hint))
        else:
            hint = "give this configuration another service name, or delete that service on the server"
            note(Check("service", "failed", message, hint))
        return False

    def _check_repository(self, bench: Bench, part: Similarity | Classification, note: Note) -> None:
        # The server's own index goes into folders beneath, which are made whatever the configuration says.
        made = part.create_repository or (
            isinstance(part, Similarity) and self.settings.index.backend not in ("local", "milvus")
        )
        if not made and PurePosixPath(bench.folder).parent != PurePosixPath(part.repository):
            message = f"{part.repository} is not there, or the server cannot write into it"
            note(Check("repository", "failed", message, "make it on the server, or write create_repository: true"))

    def _trial(self, bench: Bench, part: Similarity | Classification, spec: ServiceSpec) -> str:
        trial = bench.spec(spec, _word(part))
        try:
            bench.create(trial)
        except ServerFault as error:
            raise Stopped(_unreadable(bench, part, trial, error)) from error
        return trial.name

    # The network

    def _vectors(self, service: str, part: Similarity, note: Note) -> None:
        picture, layer = _picture(part), part.extract_layer
        try:
            vectors = self.client.extract(service, [picture], layer=layer, upload=Upload())
        except BadParameter as error:
            hint = f"the names of its layers stand in {part.definition or 'its definition'}"
            if layer == "pool5/7x7_s1":
                hint += "; the bundled ResNet-50 calls this one pool5: configs/resnet50.yaml says what to do"
            raise Stopped(Check("layer", "failed", f"{layer} cannot be had from the network: {error}", hint)) from error
        note(Check("similarity network", "ok", f"layer {layer} gives {vectors.shape[1]} values"))
        _, seconds = timed(lambda: self.client.extract(service, [picture], layer=layer, upload=Upload()))
        note(Check("extraction", "ok", f"one picture: {milliseconds(seconds)}"))
        if self.compare:
            pictures = drawn(self.settings.upload_options())
            self.canary = Canary(self.client.extract(service, pictures, layer=layer))

    def _labels(self, service: str, part: Classification, note: Note) -> None:
        picture, name = _picture(part), "classification network"
        labels = self.labels = self.client.classify(service, [picture], top=None, upload=Upload())[0].labels
        if labels and all(label.name.isdigit() for label in labels):
            # A server passes over a missing file of labels in silence (recordings/wire/05-service-explicit-paths).
            message = f"{counted(len(labels), 'label')}, all of them numbers: the server has found no file of labels"
            hint = f"look whether {part.corresp or f'corresp.txt in {part.repository}'} is there on the server"
            note(Check(name, "warning", message, hint))
        elif len(labels) != part.nclasses:
            message = f"{counted(len(labels), 'label')}, and the configuration says nclasses: {part.nclasses}"
            note(Check(name, "warning", message, f"write nclasses: {len(labels)}"))
        else:
            note(Check(name, "ok", counted(len(labels), "label")))
        _, seconds = timed(lambda: self.client.classify(service, [picture], top=1, upload=Upload()))
        note(Check("classification", "ok", f"one picture: {milliseconds(seconds)}"))


def _word(part: Similarity | Classification) -> str:
    return "similarity" if isinstance(part, Similarity) else "classification"


def _picture(part: Similarity | Classification) -> Image.Image:
    return Image.new("RGB", (part.width, part.height), (128, 128, 128))


def _unreadable(bench: Bench, part: Similarity | Classification, trial: ServiceSpec, error: ApiError) -> Check:
    """Which of the files it is that the server cannot load: its words for that vary."""
    name, place = f"{_word(part)} network", "paths are the server's own, in Docker those inside the container"
    if not part.definition:
        return Check(name, "failed", f"the server cannot load it ({error})", place)
    # Without weights a service can be created all the same (recordings/wire/04-service-repository).
    alone = trial.model_copy(update={"name": f"{trial.name}-def", "weights": None, "corresp": None})
    try:
        bench.create(alone)
    except ServerFault:
        message = f"the server cannot load def: {part.definition} ({error})"
        place += (
            ". Where it is there, its form may be another than a server's, as with an Input layer or one for training: "
            "`ddsim network export FILE FOLDER` writes it anew"
        )
    else:
        message = f"the server reads def, and cannot load weights: {part.weights}, or corresp ({error})"
    return Check(name, "failed", message, f"put the file there, or correct the path: {place}")
