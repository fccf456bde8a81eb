"""What `help()` says of public names is complete, and can be read."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import ddsim

FUNCTIONS = [name for name in ddsim.__all__ if inspect.isroutine(getattr(ddsim, name))]
# The arguments of errors are ddsim's own business.
CLASSES = [
    name
    for name in ddsim.__all__
    if inspect.isclass(getattr(ddsim, name)) and not issubclass(getattr(ddsim, name), Exception)
]


def members_of(name: str) -> dict[str, Any]:
    """Public methods and properties that ddsim has written for a class."""
    value = getattr(ddsim, name)
    found = inspect.getmembers(value, lambda one: inspect.isfunction(one) or inspect.ismethod(one))
    methods = {key: one for key, one in found if str(one.__module__).startswith("ddsim")}
    properties = dict(inspect.getmembers(value, lambda one: isinstance(one, property)))
    mine = {key: one for key, one in properties.items() if str(one.fget.__module__).startswith("ddsim")}
    return {key: one for key, one in (methods | mine).items() if not key.startswith("_")}


def calls_of(name: str) -> dict[str, Any]:
    """What can be called: the name itself, and a class's methods."""
    value = getattr(ddsim, name)
    protocol = bool(getattr(value, "_is_protocol", False))
    methods = members_of(name) if name in CLASSES else {}
    called = {f"{name}.{key}": one for key, one in methods.items() if not isinstance(one, property)}
    return called if protocol else {name: value} | called


def parameters(call: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a call that have names of their own."""
    found = inspect.signature(call).parameters
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: one for name, one in found.items() if name != "self" and one.kind not in several}


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_defaults_can_be_read(name: str) -> None:
    """Each default is shown as a value, not as a function or an address."""
    wrong = re.compile(r"<(function|built-in|bound|object)| at 0x")
    defaults = {
        f"{call}: {key}={one.default!r}"
        for call, value in calls_of(name).items()
        for key, one in parameters(value).items()
    }
    assert {one for one in defaults if wrong.search(one)} == set()


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_every_argument_is_explained(name: str) -> None:
    """A docstring says what each argument is, or which other one does."""
    missing = []
    for call, value in calls_of(name).items():
        text = inspect.getdoc(value) or ""
        fields = getattr(value, "model_fields", {})
        described = {key for field, one in fields.items() if one.description for key in (field, one.alias)}
        if "see :" not in text.lower():
            wanted = parameters(value).keys() - described
            missing += [f"{call}: {key}" for key in sorted(wanted) if not re.search(rf"\b{key}\b", text)]
    assert missing == []


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_public_of_a_class_is_documented(name: str) -> None:
    """Every method and property says what it does."""
    assert [key for key, one in members_of(name).items() if not inspect.getdoc(one)] == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ddsim.ImageSearch.vectors, ["float32", "(n, d)", "CapabilityError"]),
        (ddsim.ImageSearch.query_vector, ["(d,)", "InvalidRequest"]),
        (ddsim.ImageSearch.query, ["from 0 to 1", "ImageError"]),
        (ddsim.Client.extract, ["float32", "(n, d)"]),
        (ddsim.Timings, ["seconds"]),
        (ddsim.Upload, ["pixels"]),
        (ddsim.TimeLimits, ["Seconds"]),
    ],
)
def test_shapes_units_and_errors_are_told(call: Any, said: list[str]) -> None:
    """Whoever calls it need not look at the source."""
    text = inspect.getdoc(call) or ""
    assert [word for word in said if word not in text] == []
