"""What kind of DeepDetect server the embedded one stands in for."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    version: str
    commit: str
    compile_flags: str
    deps_version: str
    simsearch: bool
    mllibs: frozenset[str]


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

_PROFILES = {"v0.25.0": _V0_25_0}


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
        known = ", ".join(sorted(_PROFILES))
        raise ValueError(f"unknown profile {name!r} of the embedded server; there is {known}") from None
