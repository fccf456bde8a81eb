"""The rooms: imports point downwards only."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ddsim"

# From the bottom up: a module imports from lower lines only. A new module gets its line here.
ROOMS = [
    "errors",
    "yamlfile results metrics transport locks catalogue pixels",
    "wire images http_transport database vectors.flat routing",
    "safety calls values docker_engine plan records vectors.vectorfile calibration",
    "client settings manifest",
    "services containers problems preparing vectors.base vectors.transform",
    "config connection vectors.space vectors.served sampling classifier",
    "vectors.local matrix",
    "vectors.server",
    "vectors experiments",
    "audit learning",
    "indexing",
    "collection",
    "search",
    "report evaluation.results",
    "evaluation.view",
    "evaluation.page",
    "evaluation.pictures evaluation.cache evaluation.intervals evaluation.searching",
    "evaluation.task evaluation.fingerprints evaluation.floors",
    "evaluation.throwaway evaluation.scoring",
    "evaluation.sending evaluation.comparing",
    "evaluation.extraction",
    "evaluation.rows",
    "evaluation.run",
    "web.describing web.files web.products web.refusals",
    "web.addresses web.answers web.limits web.models web.multipart web.rendering",
    "web.forms web.pictures web.searching web.security web.uploads",
    "web.answering",
    "web.api web.pages",
    "web.app",
    "doctor.bench doctor.shapes doctor.traps doctor.checks",
    "doctor.expectations doctor.networks doctor.catalogue",
    "doctor.conformance",
    "doctor",
    "embedded",
    "commands.common",
    "commands.catalogue commands.config commands.containers commands.doctor commands.evaluate",
    "commands.index commands.search commands.serve commands.server",
    "index __main__",
]
RANKS = {name: rank for rank, line in enumerate(ROOMS) for name in line.split()}
# The two that may be without what the embedded server needs: they import it when it is asked for, not before.
USERS_OF_EMBEDDED = {"connection", "commands.server"}
# What lies beside the rooms: what users import, and a package without content.
FACES = {"", "commands", "evaluation", "web"}
# Where libraries that most users need not have, or must not see anything of, may be imported.
AT_HOME = {
    "cv2": ("embedded",),
    "docker": ("docker_engine",),
    "faiss": ("embedded", "vectors.flat"),
    "fastapi": ("web",),
    "jinja2": ("evaluation", "web"),
    "python_multipart": ("web",),
    "starlette": ("web",),
    "uvicorn": ("commands.serve",),
    "requests": ("http_transport",),
    "urllib3": ("http_transport",),
    "tenacity": ("transport",),
    "typer": ("commands", "index", "__main__"),
    "rich": ("commands",),
    "yaml": ("yamlfile", "config"),
}


def name_of(path: Path) -> str:
    """`client` of ddsim/client.py, `embedded` of anything in ddsim/embedded."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return "embedded" if parts[:1] == ("embedded",) else ".".join(parts)


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


def rooms(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    inside = {name for name, _ in imports(path) if name.split(".")[0] == "ddsim"}
    names = {name.removeprefix("ddsim").removeprefix(".") for name in inside}
    return {"embedded" if name.split(".")[0] == "embedded" else name for name in names}


@pytest.mark.parametrize("file", MODULES)
def test_every_module_has_its_room(file: str) -> None:
    """A module that nobody gave a place is not imported in just any direction."""
    assert name_of(MODULES[file]) in RANKS.keys() | FACES


@pytest.mark.parametrize(
    "file", [file for file, path in MODULES.items() if name_of(path) in RANKS.keys() - {"embedded"}]
)
def test_imports_point_downwards(file: str) -> None:
    """A module imports from rooms below its own; the embedded server only where a configuration may ask for it."""
    own = name_of(MODULES[file])
    assert "" not in rooms(MODULES[file]), "import from the module itself, not from the package's face"
    below = {name for name in RANKS if RANKS[name] < RANKS[own]} - {"embedded"}
    allowed = below | ({"embedded"} if own in USERS_OF_EMBEDDED else set())
    assert rooms(MODULES[file]) <= allowed


@pytest.mark.parametrize("file", [file for file in MODULES if file.startswith("embedded/")])
def test_the_embedded_server_stands_on_its_own(file: str) -> None:
    """It knows of the library no more than the errors and the seam: it serves any client."""
    assert rooms(MODULES[file]) <= {"embedded", "errors", "transport"}


def test_the_embedded_server_is_imported_when_asked_for() -> None:
    """Who talks to a real server needs neither OpenCV nor FAISS, so nobody imports it at the top of a file."""
    early = [
        file
        for file, path in MODULES.items()
        if name_of(path) != "embedded"
        and any(at_top and name.startswith("ddsim.embedded") for name, at_top in imports(path))
    ]
    assert early == []


@pytest.mark.parametrize("library", AT_HOME)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    """A library that is optional, or that nothing may come out of, is imported in its own room only."""
    users = {name_of(path) for path in FILES if any(name.split(".")[0] == library for name, _ in imports(path))}
    assert {user for user in users if not user.startswith(AT_HOME[library])} == set()


def test_nobody_imports_torch() -> None:
    """Only the script that trains the demo model does."""
    assert not [
        file for file, path in MODULES.items() if any(name.split(".")[0] == "torch" for name, _ in imports(path))
    ]
