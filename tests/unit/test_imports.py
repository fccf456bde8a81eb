"""The houses: imports point downwards only, and the folder is the picture."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ddsim"

# From the bottom up: a house imports from lower lines only. A new house gets its place here.
ORDER = [
    "errors",
    "caffe showing",
    "metrics pictures catalogue",
    "deepdetect networks",
    "config",
    "sources vectors",
    "routing",
    "indexing training",
    "search",
    "containers",
    "doctor evaluation web",
    "embedded",
    "commands",
    "index __main__",
]
RANKS = {name: rank for rank, line in enumerate(ORDER) for name in line.split()}
# The only modules that are no houses; whatever else lies flat is in nobody's care.
FLAT = {"__init__", "__main__", "errors", "index", "metrics"}
# Those that may be without what the embedded server needs: they import it when it is asked for, not before.
USERS_OF_EMBEDDED = {"search.connection", "commands.server"}
# Files that are imported by their own names from other houses, and why:
OPEN_FILES = {
    "deepdetect.transport",  # the embedded server needs the seam alone
    "web.app",  # `ddsim.web` itself can be imported without FastAPI
    "web.fronts",
    "web.patience",
    "web.products",
    "web.security",
}
# Where libraries that most users need not have, or must not see anything of, may be imported.
AT_HOME = {
    "pillow_heif": ("pictures",),
    "platformdirs": ("networks",),
    "botocore": ("sources.bucket",),
    "gcsfs": ("sources.bucket",),
    "google": ("embedded.onnx", "sources.bucket"),
    "cv2": ("embedded",),
    "docker": ("containers.engine",),
    "faiss": ("embedded", "vectors.exact"),
    "pyarrow": ("search.vectorfiles", "sources.table"),
    "IPython": ("showing.bar",),
    "onnx": ("embedded",),
    "pandas": ("showing.frames",),
    "umap": ("search.exploring",),
    "onnxruntime": ("embedded.runtime",),
    "httpx2": ("deepdetect.http_async",),
    "grpc": ("vectors.milvuslink",),
    "pymilvus": ("vectors.milvuslink",),
    "fastapi": ("web",),
    "jinja2": ("showing", "web"),
    "python_multipart": ("web",),
    "starlette": ("web",),
    "uvicorn": ("commands.serve", "web.patience"),
    "requests": ("deepdetect.http", "sources.fetching"),
    "urllib3": ("deepdetect.http", "sources.fetching"),
    "tenacity": ("deepdetect.retries", "vectors.milvuslink"),
    "typer": ("commands", "index", "__main__"),
    "rich": ("commands", "showing"),
    "yaml": ("config", "web.texts"),
}


def name_of(path: Path) -> str:
    """`deepdetect.client` of ddsim/deepdetect/client.py, `vectors` of its __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def house_of(name: str) -> str:
    """The house of a module."""
    return name.partition(".")[0]


FILES = sorted(path for path in PACKAGE.rglob("*.py"))
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in FILES}


@functools.cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """(what is imported, in full, and whether at the top level) of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in ast.walk(tree)} - {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(node)
    }
    return tuple((name, id(node) in top) for node in ast.walk(tree) for name in imported(node))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules, in full, that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide where they point"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if is_module(whole) else str(node.module)


def is_module(name: str) -> bool:
    """Whether a file of the package is called so."""
    path = PACKAGE.parent / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def inside(path: Path) -> set[str]:
    """The modules of ddsim that a file imports, without the package's name."""
    names = {name for name, _ in imports(path) if name.split(".")[0] == "ddsim"}
    return {name.removeprefix("ddsim").removeprefix(".") for name in names}


def strangers(path: Path) -> set[str]:
    """Those of them that belong to other houses."""
    return {name for name in inside(path) if house_of(name) != house_of(name_of(path))}


BELOW_THE_FACE = [file for file, path in MODULES.items() if name_of(path)]


def test_nothing_lies_flat() -> None:
    """Beside the houses there is only what is named."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == FLAT


def test_every_house_has_its_place() -> None:
    """A house that nobody gave a place is not imported in just any direction."""
    assert {house_of(name_of(path)) for path in FILES} - {""} == RANKS.keys()


@pytest.mark.parametrize("house", [name for name in RANKS if (PACKAGE / name).is_dir()])
def test_every_house_says_what_it_is_for(house: str) -> None:
    """Whoever opens the folder reads in its first file what it is for, in more than a line."""
    tree = ast.parse((PACKAGE / house / "__init__.py").read_text(encoding="utf-8"))
    assert len((ast.get_docstring(tree) or "").splitlines()) > 2


@pytest.mark.parametrize("file", BELOW_THE_FACE)
def test_imports_point_downwards(file: str) -> None:
    """A module imports from houses below its own; the embedded server only where a configuration may ask for it."""
    own = name_of(MODULES[file])
    assert "" not in inside(MODULES[file]), "import from the house itself, not from the package's face"
    below = {name for name in RANKS if RANKS[name] < RANKS[house_of(own)]} - {"embedded"}
    allowed = below | ({"embedded"} if own in USERS_OF_EMBEDDED else set())
    assert {house_of(name) for name in strangers(MODULES[file])} <= allowed


@pytest.mark.parametrize("file", BELOW_THE_FACE)
def test_others_come_in_by_the_door(file: str) -> None:
    """What a house gives to others, it exports: they need not know its files."""
    through = {
        name
        for node in ast.walk(ast.parse(MODULES[file].read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ddsim.")
        for name in [str(node.module).removeprefix("ddsim.")]
        if house_of(name) != house_of(name_of(MODULES[file]))
    }
    files = {name for name in through if "." in name and house_of(name) != "commands"}
    assert files <= OPEN_FILES


@pytest.mark.parametrize("file", [file for file in MODULES if file.startswith("embedded/")])
def test_the_embedded_server_stands_on_its_own(file: str) -> None:
    """It knows of the library no more than the errors, Caffe's files and the seam: it serves any client."""
    assert strangers(MODULES[file]) <= {"errors", "caffe", "deepdetect.transport"}


def test_the_embedded_server_is_imported_when_asked_for() -> None:
    """Who talks to a real server needs neither ONNX Runtime nor FAISS, so nobody imports it at the top of a file."""
    early = [
        file
        for file, path in MODULES.items()
        if house_of(name_of(path)) != "embedded"
        and any(at_top and name.startswith("ddsim.embedded") for name, at_top in imports(path))
    ]
    assert early == []


@pytest.mark.parametrize("library", AT_HOME)
def test_libraries_stay_in_their_houses(library: str) -> None:
    """A library that is optional, or that nothing may come out of, is imported in its own house only."""
    users = {name_of(path) for path in FILES if any(name.split(".")[0] == library for name, _ in imports(path))}
    assert {user for user in users if not user.startswith(AT_HOME[library])} == set()


def test_nobody_imports_torch() -> None:
    """Only the script that trains the demo model does."""
    assert not [
        file for file, path in MODULES.items() if any(name.split(".")[0] == "torch" for name, _ in imports(path))
    ]
