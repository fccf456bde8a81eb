"""The first moments of a command: what is said without its libraries, and Ctrl-C before anything has begun."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import python

from ddsim.commands import start

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("module", ["ddsim", "ddsim.index"])
def test_without_the_libraries(module: str) -> None:
    """A Python that has none of them says which is missing and what to run, in one line, with exit code 2."""
    bare = [sys.executable, "-S", "-m", module, "--help"]
    done = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ddsim needs ")
    assert f"-m {module}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_to_run_without_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it is the one's own environment, or what makes it; elsewhere pip."""
    monkeypatch.setattr(start, "_CHECKOUT", tmp_path)
    assert start._words("numpy", "-m ddsim").endswith(": install ddsim with pip, which brings what it needs")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "venv.sh").write_text("")
    assert "`. scripts/venv.sh`" in start._words("numpy", "-m ddsim")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text("")
    words = start._words("numpy", "-m ddsim")
    assert words.endswith(f"Where it is installed: {tmp_path}/.venv/bin/python -m ddsim")


def test_what_is_missing_of_ddsim_itself_is_no_matter_of_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation of ddsim shows where it is broken."""

    def broken(_: str) -> None:
        raise ModuleNotFoundError("No module named 'ddsim.x'", name="ddsim.x")

    monkeypatch.setattr(start, "import_module", broken)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ModuleNotFoundError):
        start.start("main", "-m ddsim")
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [("--version",), ("config", "schema")])
def test_no_room_for_what_is_printed(arguments: tuple[str, ...]) -> None:
    """Standard output on a full disk, written at once or at the end, is one line and exit code 2."""
    command = [sys.executable, "-m", "ddsim", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == (
        "error: No space left on device: what was to be written has no room; make some, and run it again\n"
    )


def test_no_standard_output() -> None:
    """Closed before the start, it changes nothing but that nothing is printed."""
    code = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'ddsim', '--version'])"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupted_while_it_starts(tmp_path: Path) -> None:
    """Ctrl-C while libraries are imported ends with 130 and says nothing."""
    (tmp_path / "typer.py").write_text("import sys; print('importing', flush=True); sys.stdin.readline()")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ddsim.__main__ import main; main()"
    process = python("-c", code, stdin=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (130, "", "")
