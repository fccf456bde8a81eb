"""`ddsim index`, its options: what would be done, trying again, checking, other homes, being stopped."""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from homes import StrictTap
from shop import PATIENT, Shop, picture, refusal
from stock import assert_sound, make_unreadable, names, sent_batches, wait_for_nothing
from terminal import command, error, error_line, python

import ddsim.search.search
from ddsim import connect

CONTRACT = Path(__file__).parents[2] / "contract"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with two lamps and two beds, the current folder in it; the commands talk to its own server."""
    shop = Shop(tmp_path, {"classification": None, "similarity": {"extract_layer": "fc1"}})
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    monkeypatch.chdir(tmp_path)
    wait_for_nothing(monkeypatch)
    talk_to(shop, "v0.25.0", monkeypatch)
    return shop


def talk_to(shop: Shop, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands talk to a new server of this kind."""
    shop.tap = StrictTap(profile=profile)
    monkeypatch.setattr(ddsim.search.search, "connect", partial(connect, transport=shop.tap, retries=PATIENT))


ALL = ["bed/c.png", "bed/d.png", "lamp/a.png", "lamp/b.png"]


# What would be done


def test_dry_run(shop: Shop) -> None:
    """A line for each kind of change; nothing is sent and nothing indexed, so the run after it does it all."""
    shop.tap.sent.clear()
    result = command(shop, "index", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "       4 new"
    assert {line.split()[1] for line in result.stdout.splitlines()} == {
        *("new", "changed", "touched", "unchanged", "waiting", "failed", "vanished")
    }
    assert not shop.tap.sent
    assert command(shop, "index").exit_code == 0
    assert json.loads(command(shop, "index", "--dry-run", "--json").stdout)["changes"]["unchanged"] == 4


def test_a_second_run_says_that_nothing_was_sent(shop: Shop) -> None:
    """The summary tells what is indexed from what was sent for it."""
    command(shop, "index")
    (shop.catalogue / "bed/c.png").unlink()
    shop.add("bed/e.png", "lamp/a.png")
    result = command(shop, "index")
    assert result.exit_code == 0
    assert "4 pictures are indexed (server Flat, 16 values each); 2 sent in " in result.stdout
    assert "  1 new, 1 changed, 1 vanished, 0 touched, 2 unchanged\n" in result.stdout
    result = command(shop, "index")
    assert "; 0 sent in " in result.stdout


def test_twins_are_told(shop: Shop) -> None:
    """Pictures with the same content under several names are counted by groups."""
    shop.add_picture("lamp/one.png", picture(70))
    shop.add_picture("bed/two.png", picture(70))
    result = command(shop, "index")
    assert result.exit_code == 0
    assert "  1 group of pictures with the same content under several names\n" in result.stdout
    assert json.loads(command(shop, "index", "--json").stdout)["twins"] == 1


def test_many_failures_are_cut_short(shop: Shop) -> None:
    """The first twenty are listed, the others counted; the file has them all."""
    for number in range(23):
        shop.add_bytes(f"lamp/{number:02d}.jpg", b"")
    result = command(shop, "index")
    assert result.exit_code == 1
    assert "23 could not be indexed, listed in " in result.stdout
    assert result.stdout.count("empty, 0 bytes") == 20
    assert "  ... and 3 more\n" in result.stdout
    (file,) = (shop.root / ".ddsim").rglob("failures.jsonl")
    assert str(file) in result.stdout
    assert len(file.read_text("utf-8").splitlines()) == 23


def test_retry_failed(shop: Shop) -> None:
    """What failed is left alone until --retry-failed; as long as some is in quarantine the exit code is 1."""
    make_unreadable(shop, ["lamp/a.png"])
    assert command(shop, "index").exit_code == 1
    shop.tap.faults.clear()
    assert command(shop, "index").exit_code == 1
    result = command(shop, "index", "--retry-failed")
    assert result.exit_code == 0
    assert "; 1 sent in " in result.stdout
    assert_sound(shop, ALL)


def test_rebuild(shop: Shop) -> None:
    """Everything is sent again; that is advised once too much of the index is tombstones."""
    command(shop, "index")
    shop.add("lamp/a.png", "lamp/b.png")
    result = command(shop, "index")
    assert "  33% of the index belongs to removed or replaced pictures" in result.stdout
    assert f"ddsim index --config {shop.config} --rebuild" in result.stdout
    result = command(shop, "index", "--rebuild")
    assert "; 4 sent in " in result.stdout
    assert "--rebuild" not in result.stdout
    assert_sound(shop, ALL)


# The audit


def test_audit_only(shop: Shop) -> None:
    """--audit checks and sends nothing to the index; --no-audit leaves the check out."""
    command(shop, "index", "--no-audit")
    shop.add("lamp/new.png")
    shop.tap.sent.clear()
    result = command(shop, "index", "--audit")
    assert (result.exit_code, result.stdout) == (0, "audit: 4 pictures checked, all found\n")
    assert not shop.tap.index_calls
    assert json.loads(command(shop, "index", "--audit", "--json").stdout) == {"audit": {"checked": 4, "problems": []}}
    result = command(shop, "index", "--no-audit", "--json")
    assert json.loads(result.stdout)["audit"] is None


def swap(shop: Shop) -> None:
    """Let two pictures change places, unseen: their size and time are as before."""
    one, other = shop.catalogue / "lamp/a.png", shop.catalogue / "lamp/b.png"
    stats = one.stat(), other.stat()
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    for path, stat in zip((one, other), stats, strict=True):
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("arguments", [("--audit",), ()])
def test_a_red_audit(shop: Shop, arguments: tuple[str, ...]) -> None:
    """Exit code 3 with the likely cause, alone and after a run, as text and as JSON."""
    for name in "ab":
        # Files of the same length, so that only their content tells them apart.
        path = shop.add(f"lamp/{name}.png")[0]
        path.write_bytes(path.read_bytes().ljust(4000, b"\0"))
    command(shop, "index")
    swap(shop)
    result = command(shop, "index", *arguments)
    assert result.exit_code == 3
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("audit:")]
    assert line.startswith("audit: 2 of 4 items find another picture in their place")
    parsed = command(shop, "index", *arguments, "--json")
    assert parsed.exit_code == 3
    printed = line.removeprefix("audit: ").replace(f" --config {shop.config}", "")
    assert json.loads(parsed.stdout)["audit"]["problems"] == [printed]


def test_audit_of_an_index_that_was_removed(shop: Shop) -> None:
    """Exit code 3 and what to do; a run heals it."""
    command(shop, "index")
    for file in (shop.root / ".ddsim").rglob("*.faiss"):
        file.unlink()
    shop.tap.restart()
    result = command(shop, "index", "--audit")
    assert result.exit_code == 3
    assert "audit: the index is empty" in result.stdout
    assert command(shop, "index").exit_code == 0
    assert_sound(shop, ALL)


# Trouble


def test_a_second_run(shop: Shop) -> None:
    """Exit code 2, naming the process that holds the manifest."""
    command(shop, "index")
    with shop.collection() as collection, collection.manifest.writing():
        line = error_line(command(shop, "index"), 2)
    assert f"another run works on this index (process {os.getpid()} on " in line
    assert "since " in line
    assert command(shop, "index").exit_code == 0


def test_a_server_that_goes_away(shop: Shop) -> None:
    """Exit code 3 with one line; the next run does the rest."""
    shop.configure(index={"checkpoint": 4})
    shop.add(*names("table", 8))
    tap = shop.tap
    assert isinstance(tap, StrictTap)

    def goes(sent: object, carry_out: Callable[[], object]) -> None:
        tap.down = len(tap.index_calls) > 1

    tap.faults.append(lambda sent, _: goes(sent, _) or (refusal(503) if tap.down else None))
    error_line(command(shop, "index"), 3)
    tap.faults.clear()
    tap.down = False
    tap.restart()
    tap.sent.clear()
    result = command(shop, "index")
    assert result.exit_code == 0
    assert sum(map(len, sent_batches(shop))) == 8
    assert_sound(shop, [*ALL, *names("table", 8)])


# Homes


@pytest.mark.parametrize("backend", ["local", "auto"])
def test_a_server_without_similarity_search(shop: Shop, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """There --backend server is refused with 3 and what to write instead; local and auto do."""
    talk_to(shop, "no-simsearch", monkeypatch)
    line = error_line(command(shop, "index", "--backend", "server"), 3)
    assert "backend: local" in line
    assert sent_batches(shop) == []
    result = command(shop, "index", "--backend", backend)
    assert result.exit_code == 0
    assert "4 pictures are indexed (local l2, 16 values each)" in result.stdout
    assert not any(sent.indexes for sent in shop.tap.sent)


def test_what_was_indexed_elsewhere_is_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search goes where the pictures are, though the configuration names the other home."""
    talk_to(shop, "no-simsearch", monkeypatch)
    assert command(shop, "index", "--backend", "local").exit_code == 0
    result = command(shop, "search", "catalogue/bed/c.png", "--json", "-k", 1)
    assert json.loads(result.stdout)["neighbours"][0]["uri"] == "bed/c.png"


@pytest.mark.parametrize("profile", ["torch-v0.29", "torch-v0.28"])
def test_todays_official_servers(shop: Shop, monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    """With Torch alone vectors are kept here; every picture is found, and a search names what it shows."""
    talk_to(shop, profile, monkeypatch)
    monkeypatch.syspath_prepend(CONTRACT)
    onnx_writer = importlib.import_module("onnx_writer")
    network = {"mllib": "torch", "def": None, "weights": None, "corresp": None, "mean": None}
    folders = {}
    for kind in ("classes", "similar"):
        folder = onnx_writer.write(shop.root / kind, onnx_writer.classifier())
        (folder / "corresp.txt").write_text("0 bed\n1 chair\n2 lamp\n3 sofa\n4 table\n")
        folders[kind] = str(folder)
    shop.base = {
        "network": network,
        "classification": {"repository": folders["classes"]},
        "similarity": {"repository": folders["similar"], "extract_layer": "last"},
    }
    shop.configure()
    assert "Torch servers come without an index" in error(command(shop, "index", "--backend", "server"), 2)
    result = command(shop, "index")
    assert result.exit_code == 0, result.output
    assert "4 pictures are indexed (local l2, 5 values each)" in result.stdout
    assert "audit: 4 pictures checked, all found" in result.stdout
    for uri in ALL:
        found = json.loads(command(shop, "search", f"catalogue/{uri}", "--json").stdout)
        assert found["neighbours"][0]["uri"] == uri
        assert len(found["neighbours"]) == 4
        assert {label["name"] for label in found["labels"]} == {"bed", "chair", "lamp", "sofa", "table"}


# Stopping

# Runs `ddsim index`; at the second call that adds, says so and waits for a line before the server gets it.
SLOW = """
import sys, ddsim.search.connection, ddsim.search.search
from ddsim.commands.app import app
from ddsim.embedded import EmbeddedTransport, Engine

class Slow(EmbeddedTransport):
    calls = 0

    def exchange_values(self, method, path, json, timeout):
        if path == "/predict" and json["parameters"]["output"].get("index"):
            Slow.calls += 1
            if Slow.calls == 2:
                print("sending", file=sys.stderr, flush=True)
                sys.stdin.readline()
        return super().exchange_values(method, path, json, timeout)

connect = ddsim.search.search.connect
ddsim.search.search.connect = lambda settings: connect(settings, transport=Slow(Engine()))
app(["index", "--config", "shop.yaml"])
"""


@pytest.fixture
def slow(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    """`ddsim index` over 14 pictures in a process of its own, at its second batch of four."""
    shop.add(*names("table", 10))
    process = python("-c", SLOW, cwd=shop.root, stdin=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == "sending\n"
    yield process
    process.kill()
    process.communicate()


def test_one_ctrl_c_stops_after_the_batch(shop: Shop, slow: subprocess.Popen[str]) -> None:
    """The batch in flight ends and can be searched, the exit code is 130, and the next run does only the rest."""
    slow.send_signal(signal.SIGINT)
    assert slow.stderr is not None
    said = slow.stderr.readline()
    out, err = slow.communicate("go on\n", timeout=60)
    assert slow.returncode == 130
    assert said == "Stopping after this batch; Ctrl-C again to stop at once.\n"
    assert err == "Stopped. What was sent can be searched; run the same command again to go on.\n"
    assert out.startswith("8 pictures are indexed")
    assert len(shop.indexed()) == 8
    result = command(shop, "index")
    assert result.exit_code == 0
    assert "; 6 sent in " in result.stdout
    assert_sound(shop, [*ALL, *names("table", 10)])


def test_two_ctrl_c_stop_at_once(shop: Shop, slow: subprocess.Popen[str]) -> None:
    """The batch in flight is given up, the exit code is 130, and the next run does the rest."""
    assert slow.stderr is not None
    slow.send_signal(signal.SIGINT)
    slow.stderr.readline()
    slow.send_signal(signal.SIGINT)
    out, err = slow.communicate(timeout=60)
    assert (slow.returncode, out) == (130, "")
    # Interrupted in the middle of saying so, the first sentence can come twice.
    assert err.endswith("Interrupted. Run the same command again to go on.\n")
    assert command(shop, "index").exit_code == 0
    assert_sound(shop, [*ALL, *names("table", 10)])


def test_another_way_to_compare_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings, and components of more pictures, change what was indexed before: never without a word."""
    talk_to(shop, "no-simsearch", monkeypatch)
    local = {"backend": "local", "batch_size": 4}
    shop.configure(index=local)
    assert "compared in another way" not in command(shop, "index").stdout
    shop.configure(index=local | {"metric": "cosine", "pca": 5})
    result = command(shop, "index")
    assert "compared in another way than before (local cosine, l2 pca 4 of 4 rows, " in result.stdout
    assert "0 sent in" in result.stdout
    assert json.loads(command(shop, "index", "--json").stdout)["compared_anew"] is None
    shop.add("bed/x.png", "bed/y.png")
    assert "(local cosine, l2 pca 5 of 6 rows, " in command(shop, "index").stdout


# What was indexed and should be looked at


def test_pictures_that_are_cut_short_are_indexed_and_named(shop: Shop) -> None:
    """They are searched like all others; the summary and --json say which, and what is the matter."""
    file = io.BytesIO()
    picture(80, (320, 320)).save(file, "JPEG")
    shop.add_bytes("lamp/cut.jpg", file.getvalue()[:-2])
    shop.add_bytes("lamp/cut2.jpg", file.getvalue()[:-2])
    result = command(shop, "index", "--json")
    assert result.exit_code == 0
    (warning,) = json.loads(result.stdout)["warnings"]
    assert warning.startswith("2 pictures (lamp/cut.jpg, lamp/cut2.jpg): the end of the file is missing")
    shop.add_bytes("lamp/cut3.jpg", file.getvalue()[:-1])
    assert "warning: 1 picture (lamp/cut3.jpg): the end of" in command(shop, "index").stdout
    found = command(shop, "search", str(shop.catalogue / "lamp/cut.jpg"))
    assert "the end of the file is missing" in found.stdout


def test_labels_and_categories_that_do_not_match_are_told_when_indexing(shop: Shop) -> None:
    """A label that stands for no category, and a category that no label stands for."""
    shop.configure(classification={}, categories={"lamp\r": "lamp", "chair": "stool"})
    warnings = json.loads(command(shop, "index", "--json").stdout)["warnings"]
    assert warnings == [
        "labels stand for categories without a picture: stool; correct `categories:`",
        "no label stands for these categories: bed; photos of them are recognised by their neighbours alone",
    ]
    shop.configure(classification={}, categories={"lamp": "lamp"}, routing={"by": "service"})
    (warning,) = json.loads(command(shop, "index", "--json").stdout)["warnings"]
    assert warning.startswith("no label stands for these categories: bed; with `routing: {by: service}` no photo is ")
    shop.configure(classification={}, categories={"lamp": "lamp", "chair": "bed"})
    assert json.loads(command(shop, "index", "--json").stdout)["warnings"] == []


def test_what_was_indexed_last_is_searched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever indexes a folder by name, and then searches without one, means that folder."""
    talk_to(shop, "no-simsearch", monkeypatch)
    shop.configure(index={"backend": "local", "batch_size": 4}, catalogue="elsewhere")
    assert command(shop, "index", "catalogue").exit_code == 0
    result = command(shop, "search", "catalogue/bed/c.png", "--json", "-k", 1)
    assert json.loads(result.stdout)["neighbours"][0]["uri"] == "bed/c.png"


@pytest.mark.parametrize("other", ["--dry-run", "--retry-failed", "--rebuild", "--allow-vanished", "--take-over"])
def test_options_that_contradict_one_another(shop: Shop, other: str) -> None:
    """A check of the index alone is not also a run: exit code 2 with a sentence."""
    assert other in error_line(command(shop, "index", "--audit", other), 2)


def test_there_is_nothing_to_take_over_where_no_database_is(shop: Shop) -> None:
    """Only a name in a database can be another state folder's; nothing is sent, and --dry-run says so, too."""
    shop.tap.sent.clear()
    for more in ((), ("--dry-run",)):
        assert "index.backend" in error_line(command(shop, "index", "--take-over", *more), 2)
    assert shop.tap.index_calls == []
