"""The scripts: there, executable, valid shell, and those that the README names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = [".ci/run", "scripts/check", "scripts/demo", "scripts/test", "scripts/venv.sh"]


def described(script: str) -> str:
    """The comment that a script begins with."""
    lines = (ROOT / script).read_text("utf-8").splitlines()
    first = 1 if lines[0].startswith("#!") else 0
    comment = []
    for line in lines[first:]:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment)


def readme_commands() -> list[str]:
    """The scripts in the first block of code of the README."""
    block = (ROOT / "README.md").read_text("utf-8").split("```")[1]
    return [line.split()[0] for line in block.splitlines() if line.startswith("scripts/")]


@pytest.mark.parametrize("script", SHELL)
def test_valid_shell(script: str) -> None:
    """Bash can parse it."""
    parsed = subprocess.run(["bash", "-n", str(ROOT / script)], capture_output=True, text=True, check=False)
    assert parsed.returncode == 0, parsed.stderr


@pytest.mark.parametrize("script", [script for script in SHELL if not script.endswith(".sh")])
def test_executable_and_strict(script: str) -> None:
    """It can be run as it is, stops at the first error, and works from any folder."""
    text = (ROOT / script).read_text("utf-8")
    assert os.access(ROOT / script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert 'cd "$(dirname "$0")/.."' in text


@pytest.mark.parametrize("script", SHELL)
def test_says_what_it_is_for(script: str) -> None:
    """A script begins with a sentence on what it does."""
    assert len(described(script)) > 30


def test_the_readme_names_the_two_commands() -> None:
    """The demonstration and the tests are what the README shows first, and both exist."""
    assert list(dict.fromkeys(readme_commands())) == ["scripts/demo", "scripts/test"]


def test_ci_runs_what_people_run() -> None:
    """CI calls the README's commands, with all tests and what none may be skipped for, then the suite on an engine."""
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    called = [line for line in lines if re.match(r"(\w+=\S+ )*(scripts|\.ci)/", line)]
    required = "DDSIM_REQUIRE_BROWSER=1 DDSIM_REQUIRE_PROXIES=1 DDSIM_REQUIRE_MILVUS=1"
    assert called == [f"{required} scripts/test --long", "scripts/demo", ".ci/engine.sh"]
    assert {word for line in called for word in line.split()} >= set(readme_commands())


def test_long_tests_run_when_they_are_named() -> None:
    """Of a file of two, the one that is named is left, and what to do about the other is said."""
    soak = "tests/soak/test_soak.py"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", soak, f"{soak}::test_everything_at_once[local]"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert [line for line in listed.stdout.splitlines() if "::" in line and line.startswith("tests")] == command[-1:]
    assert "1 tests marked long were left out: --long runs them" in listed.stdout


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/test", "scripts/check"])
def test_called_scripts_exist(script: str) -> None:
    """Whatever script or configuration a script calls is there."""
    named = re.findall(r"(?<![\w/.-])(?:scripts|configs)/[\w./-]+", (ROOT / script).read_text("utf-8"))
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("group", ["", "dev"])
def test_no_python_is_told(tmp_path: Path, group: str) -> None:
    """Without a Python to be found, the scripts end with a sentence on what to install."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cksum", "tr"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"there is no {tool}"))
    (tmp_path / "pyproject.toml").touch()
    text = f"set -euo pipefail; . {ROOT}/scripts/venv.sh {group}; echo went on"
    run = subprocess.run(
        [tools / "bash", "-c", text],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "No Python 3.10 or later found. Install one" in run.stderr
    assert "went on" not in run.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_the_demonstration_with_what_is_no_folder(tmp_path: Path, folder: str) -> None:
    """It says so before it sets anything up."""
    (tmp_path / "file").write_text("")
    done = subprocess.run([ROOT / "scripts" / "demo", tmp_path / folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{tmp_path / folder} is no folder that can be entered\n")
