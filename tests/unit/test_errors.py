"""ddsim.errors: the tree, the choice of a class, the words."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from ddsim import errors
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    ConfigError,
    ConnectionLost,
    DDSimError,
    ImageError,
    IndexClosed,
    IndexNotBuilt,
    Intercepted,
    InvalidRequest,
    MalformedRequest,
    ServerFault,
    ServiceConflict,
    ServiceExists,
    ServiceNotFound,
    TrainPredictConflict,
    TransportError,
    UnknownLibrary,
    UnsafeCall,
    api_error_class,
)

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


def drawn_tree() -> dict[str, str]:
    """Class -> parent, read from the drawing at the top of the module."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^( {4}(?:[│ ]  ? ?)*(?:[├└]── )?)([A-Z]\w+)", line)
        if match is None:
            continue
        depth = (len(match[1]) - 4) // 4
        path[depth:] = [match[2]]
        parents[match[2]] = path[depth - 1] if depth else ""
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    """The drawing names every error class, each under its real parent."""
    assert drawn_tree() == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES} | {"DDSimError": ""}


def test_the_drawing_says_which_are_value_errors() -> None:
    """Wrong input is a ValueError too, as the drawing says, and nothing else is."""
    marked = set(re.findall(r"(\w+) \(also ValueError\)", errors.__doc__ or ""))
    direct = {kind.__name__ for kind in CLASSES if ValueError in kind.__bases__}
    assert marked == direct == {"InvalidRequest", "ConfigError", "ImageError"}
    assert issubclass(UnsafeCall, ValueError)


def test_no_answer_and_a_refusal_are_unrelated() -> None:
    """No class is both a TransportError and an ApiError."""
    assert not [kind for kind in CLASSES if issubclass(kind, TransportError) and issubclass(kind, ApiError)]


@pytest.mark.parametrize(
    ("status", "dd_code", "kind"),
    [
        (400, None, MalformedRequest),
        (400, 400, MalformedRequest),
        (400, 1005, BadInput),
        (400, 1006, BadParameter),
        (400, 1013, ApiError),
        (403, None, ApiError),
        (403, 1010, IndexClosed),
        (403, 1011, IndexNotBuilt),
        (403, 1016, ApiError),
        (404, None, ApiError),
        (404, 1000, UnknownLibrary),
        (404, 1002, ServiceNotFound),
        (404, 1004, ApiError),
        (404, 1009, ApiError),
        (409, 1008, TrainPredictConflict),
        (409, 1014, ServiceExists),
        (418, None, ApiError),
        (500, None, ServerFault),
        (500, 500, ServerFault),
        (500, 1007, ServerFault),
        (503, None, ServerFault),
        (599, 1005, ServerFault),
    ],
)
def test_class_follows_from_status_and_code(status: int, dd_code: int | None, kind: type[ApiError]) -> None:
    """HTTP status and dd_code choose the class; an unknown pair is a plain ApiError, any other 5xx a ServerFault."""
    assert api_error_class(status, dd_code) is kind


def test_every_api_error_can_be_chosen() -> None:
    """No subclass of ApiError is there for nothing."""
    pairs = [
        (status, code) for status in (400, 403, 404, 409, 413, 429, 500) for code in (None, 400, *range(1000, 1020))
    ]
    # What is not DeepDetect's answer has no code, and its class is chosen where that is seen.
    chosen = {api_error_class(*pair) for pair in pairs} | {Intercepted}
    assert chosen == {kind for kind in CLASSES if issubclass(kind, ApiError)}


def api_error(dd_msg: str, hint: str = "") -> ApiError:
    """An ApiError with these words."""
    return BadParameter(400, 1006, dd_msg, method="POST", path="/predict", hint=hint)


def test_api_error_tells_call_code_words_and_hint() -> None:
    """The text holds the call, status and code, the server's words and what to do."""
    error = api_error("unknown extract layer fc9", "look into deploy.prototxt")
    assert str(error) == "POST /predict answered 400/1006: unknown extract layer fc9 (look into deploy.prototxt)"
    assert (error.status, error.dd_code, error.method, error.path) == (400, 1006, "POST", "/predict")


def test_api_error_shows_one_line_and_keeps_all() -> None:
    """A stack trace of several kB stays in the attribute; the text shows its first line, cut."""
    words = "x" * 1000 + "\n#1 at 0xdead\n" * 100
    error = api_error(words)
    assert error.dd_msg == words
    assert "\n" not in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(("words", "shown"), [("", "no message"), ("  \n ", "no message"), ("\n\n late", "late")])
def test_api_error_always_shows_words(words: str, shown: str) -> None:
    """Empty words are called so, and an empty first line does not hide the others."""
    assert str(api_error(words)).endswith(f"400/1006: {shown}")


def test_api_error_can_be_printed_whatever_the_server_said() -> None:
    """The server cuts long names inside a character: such bytes stay in the attribute and do not break printing."""
    words = "could not be read: caf\udcc3..."
    error = api_error(words)
    assert error.dd_msg == words
    str(error).encode("utf-8")


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("k"),
        UnsafeCall("u"),
        ConfigError("c"),
        ImageError("lamp.jpg", "cut short"),
        ServiceConflict("sim", {"width": (32, 224)}),
        ConnectionLost("gone", method="POST", path="/predict"),
        api_error("words", "hint"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickle_and_copy(error: DDSimError) -> None:
    """An error that crosses a process boundary comes out whole."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  bytes of our own making
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_service_conflict_shows_both_sides() -> None:
    """The text names what is wanted and what was found."""
    error = ServiceConflict("sim", {"width": (32, 224), "rgb": (True, False)})
    assert "width: wanted 32, found 224; rgb: wanted True, found False" in str(error)
    assert error.differences["width"] == (32, 224)


def test_image_error_names_source_and_reason() -> None:
    """Source and reason stand in the text and as attributes."""
    error = ImageError("lamp.jpg", "empty, 0 bytes")
    assert (error.source, error.reason, str(error)) == ("lamp.jpg", "empty, 0 bytes", "lamp.jpg: empty, 0 bytes")
