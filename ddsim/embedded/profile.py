"""What kind of DeepDetect server the embedded one stands in for.

``v0.25.0`` is the recorded one with Caffe and similarity search; ``no-simsearch`` the same compiled without similarity
search; ``torch-v0.29`` today's official build, with Torch alone, as recorded in recordings/torch. ``torch-v0.28`` is
the release before it: known from the source, not recorded, it knows no removed backends and answers features of several
pictures in one pass wrongly.

Torch itself is not there: where a real server reads a traced network (``.pt``) from a service's repository, this one
reads an ONNX file (``.onnx``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Profile:
    """One build of DeepDetect, as ``GET /info`` describes it.

    Attributes:
        version: the release.
        commit: the commit it was built from.
        compile_flags: what is compiled in, in the server's own notation.
        deps_version: versions of its libraries.
        simsearch: whether index, build_index and search do anything.
        mllibs: values of ``mllib`` that it knows.
        refused: values of ``mllib`` that it refuses with 400/1006, and its words for it; all others are 404/1000.
        whole_batches: whether each picture's features are those of its whole pass, one after the other (Torch before
            v0.29).
        branch: the branch it was built from.
    """

    version: str
    commit: str
    compile_flags: str
    deps_version: str
    simsearch: bool
    mllibs: frozenset[str]
    refused: Mapping[str, str] = field(default_factory=dict)
    whole_batches: bool = False
    branch: str = "HEAD"

    @property
    def torch(self) -> bool:
        """Whether it is a build with Torch alone."""
        return "torch" in self.mllibs


_V0_25_0 = Profile(
    version="v0.25.0",
    commit="9a3935bb3aa8f96e500b34a262145a3a7236edff",
    compile_flags=(
        "USE_CAFFE2=OFF USE_TF=OFF USE_NCNN=OFF USE_TORCH=OFF USE_HDF5=ON USE_CAFFE=ON USE_TENSORRT=OFF "
        "USE_TENSORRT_OSS=OFF USE_DLIB=OFF USE_CUDA_CV=OFF USE_SIMSEARCH=ON USE_ANNOY=OFF USE_FAISS=ON "
        "USE_COMMAND_LINE=ON USE_JSON_API=ON USE_HTTP_SERVER=OFF "
    ),
    deps_version="OPENCV_VERSION=4.6.0 CUDA_VERSION= CUDNN_VERSION= CUDA_ARCH= TENSORRT_VERSION=",
    simsearch=True,
    mllibs=frozenset({"caffe"}),
)

_NO_SIMSEARCH = replace(
    _V0_25_0,
    compile_flags=_V0_25_0.compile_flags.replace("USE_SIMSEARCH=ON", "USE_SIMSEARCH=OFF"),
    simsearch=False,
)

_REMOVED = "the requested backend was removed; migrate the service to Torch or ONNX/TensorRT"
_NO_WORKER = "the managed Python PyTorch worker backend is disabled; rebuild with USE_PYTORCH_WORKER=ON"
_TORCH_V0_29 = Profile(
    version="v0.29.0-45-g7c4eae3c",
    commit="7c4eae3ce0f2f06945a254c454adc236392acb9f",
    branch="master",
    compile_flags=(
        "USE_NCNN=OFF USE_TORCH=ON USE_HDF5=ON USE_TENSORRT=OFF USE_TENSORRT_OSS=OFF USE_DLIB=OFF USE_CUDA_CV=OFF "
        "USE_SIMSEARCH=OFF USE_ANNOY=OFF USE_FAISS=ON USE_COMMAND_LINE=ON USE_JSON_API=ON USE_HTTP_SERVER=OFF "
    ),
    deps_version=_V0_25_0.deps_version,
    simsearch=False,
    mllibs=frozenset({"torch"}),
    refused=dict.fromkeys(("caffe", "caffe2", "tf", "tensorflow"), _REMOVED) | {"pytorch": _NO_WORKER},
)
_TORCH_V0_28 = replace(
    _TORCH_V0_29,
    version="v0.28.0",
    commit="",
    branch="HEAD",
    compile_flags=_NO_SIMSEARCH.compile_flags.replace("USE_TORCH=OFF", "USE_TORCH=ON").replace(
        "USE_CAFFE=ON", "USE_CAFFE=OFF"
    ),
    refused={},
    whole_batches=True,
)

_PROFILES = {
    "v0.25.0": _V0_25_0,
    "no-simsearch": _NO_SIMSEARCH,
    "torch-v0.29": _TORCH_V0_29,
    "torch-v0.28": _TORCH_V0_28,
}
#: The profiles' names, the default first.
PROFILES = tuple(_PROFILES)


def profile_named(name: str | Profile) -> Profile:
    """The profile of that name; a profile is given back as it is.

    Raises:
        ValueError: there is none.
    """
    if isinstance(name, Profile):
        return name
    try:
        return _PROFILES[name]
    except KeyError:
        known = ", ".join(PROFILES)
        raise ValueError(f"unknown profile {name!r} of the embedded server; there is {known}") from None
