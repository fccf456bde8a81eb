"""What `import ddsim` gives, and what it does not do."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ddsim
from ddsim import errors

ROOT = Path(__file__).parents[2]
# An alias cannot carry a docstring of its own; its text stands below it.
ALIASES = {"Picture"}


def test_all_is_sorted_and_without_doubles() -> None:
    """The list of public names is in plain order."""
    assert ddsim.__all__ == sorted(set(ddsim.__all__))


@pytest.mark.parametrize("name", ddsim.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    """Every public name can be had, and says what it is."""
    value = getattr(ddsim, name)
    if name not in ALIASES:
        assert inspect.getdoc(value)
        # A dataclass without words of its own is given its signature.
        assert not (inspect.getdoc(value) or "").startswith(f"{name}(")


def test_star_import_gives_all() -> None:
    """`from ddsim import *` works and gives these names."""
    space: dict[str, object] = {}
    exec("from ddsim import *", space)  # noqa: S102  a statement of our own
    assert set(ddsim.__all__) <= set(space)


def test_nothing_else_looks_public() -> None:
    """What is in the package's namespace and not in the list is a module."""
    others = {name for name in vars(ddsim) if not name.startswith("_")} - set(ddsim.__all__)
    assert {name for name in others if not inspect.ismodule(getattr(ddsim, name))} == set()


def test_every_error_is_public() -> None:
    """What a user may have to catch can be imported."""
    kinds = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert kinds <= set(ddsim.__all__)


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_importing_is_light_and_silent() -> None:
    """`import ddsim` loads nothing that has to be installed, and prints nothing; all its names load no command."""
    assert not {"numpy", "pydantic", "requests", "PIL", "ddsim.search"} & loaded_by("import ddsim")
    heavy = {"ddsim.embedded", "ddsim.__main__", "ddsim.index", "ddsim.commands"}
    heavy |= {"cv2", "faiss", "onnx", "onnxruntime", "typer", "rich", "uvicorn", "starlette", "docker", "torch"}
    assert not heavy & loaded_by("from ddsim import *")


def test_names_are_found_where_type_checkers_find_them() -> None:
    """What is imported when it is asked for comes from the same houses as the imports for type checkers say."""
    tree = ast.parse((ROOT / "ddsim" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: str(node.module).removeprefix("ddsim.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == ddsim._HOUSE_OF
    assert {*told, "__version__"} == set(ddsim.__all__) - set(dir(errors))


def test_what_is_not_there_is_an_attribute_error() -> None:
    """A mistyped name is told as for any module, and `dir` lists the right ones."""
    with pytest.raises(AttributeError, match="has no attribute 'ImageSerch'"):
        _ = ddsim.ImageSerch
    assert set(ddsim.__all__) <= set(dir(ddsim))


def test_a_library_keeps_its_log_to_itself() -> None:
    """Without a logging configuration nothing is written: there is a handler that does nothing."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("ddsim").handlers)


def test_the_package_is_typed() -> None:
    """Type checkers are told that the annotations are meant."""
    assert (ROOT / "ddsim" / "py.typed").exists()


@pytest.mark.parametrize("name", ddsim.__all__)
def test_docstrings_cite_nothing_that_users_lack(name: str) -> None:
    """What was seen of the server is told in words: the recorded exchanges are not installed with ddsim."""
    value = getattr(ddsim, name)
    members = [member for _, member in inspect.getmembers(value, callable)] if inspect.isclass(value) else []
    texts = [inspect.getdoc(one) or "" for one in (value, *members)]
    assert [text for text in texts if "recording" in text] == []


def test_nobody_is_sent_to_somebody_elses_package() -> None:
    """Package indexes know another project by the name ddsim: no hint, page or script tells anybody to install that."""
    wrong = re.compile(r"pip install[^\n]*['\" ]ddsim(?:\[|['\" `]|$)|ddsim\[[a-z]", re.MULTILINE)
    assert wrong.search("pip install 'ddsim[web]'")
    assert wrong.search("pip install ddsim")
    folders = ["ddsim", "scripts", "configs", "tests", ".ci"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.yml"), *ROOT.glob("*.toml")]
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in files if path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if path.suffix != ".pyc" and wrong.search(text)] == []


def test_the_version_is_the_distributions() -> None:
    """`ddsim.__version__` is what was installed."""
    assert ddsim.__version__ == version("deepdetect-visual-search")
    assert (
        version("deepdetect-visual-search")
        in subprocess.run(
            [sys.executable, "-m", "ddsim", "--version"], capture_output=True, text=True, check=True
        ).stdout
    )
