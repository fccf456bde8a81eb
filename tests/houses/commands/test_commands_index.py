"""`ddsim index`: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest
from shop import PATIENT, Shop, picture, refusal
from terminal import ODD_NAMES, RUN, command, error, error_line, interrupt, run
from typer.testing import CliRunner

import ddsim.commands.index
import ddsim.index
import ddsim.search.search
from ddsim import Client, Retries, Settings, connect
from ddsim.commands.app import app
from ddsim.embedded import EmbeddedServer, Engine


def test_index(shop: Shop) -> None:
    """All pictures go into the index; the summary says how many, how long, and where."""
    result = command(shop, "index")
    assert result.exit_code == 0
    assert re.fullmatch(
        r"4 pictures are indexed \(server Flat, 392 values each\); 4 sent in [\d.]+ s \(\d+/s\)\n"
        r"  4 new, 0 changed, 0 vanished, 0 touched, 0 unchanged\n"
        r"scores learned from 4 pictures\n"
        r"audit: 4 pictures checked, all found\n",
        result.stdout,
    )
    assert result.stderr == ""
    assert len(shop.indexed()) == 4


def test_index_as_json(shop: Shop) -> None:
    """With --json standard output is one object with these keys and nothing else."""
    shop.add_bytes("lamp/bad.jpg", b"")
    result = command(shop, "index", "--json")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    facts = ["configuration", "catalogue", "service", "home", "indexed", "sent", "reused", "changes", "met"]
    facts += ["unreadable", "twins", "rows", "tombstones", "dimension", "compared_anew", "approximate", "seconds"]
    facts += ["finished"]
    assert list(value) == [*facts, "warnings", "withheld", "failed", "learned", "audit"]
    assert value["configuration"] == "shop"
    assert value["catalogue"] == str(shop.catalogue)
    assert (value["service"], value["indexed"], value["dimension"]) == ("shop-similar", 4, 392)
    assert value["failed"] == [{"uri": "lamp/bad.jpg", "reason": "empty, 0 bytes", "tries": 1}]
    assert (value["home"], value["sent"], value["finished"]) == ("server Flat", 4, True)
    assert value["changes"]["new"] == 5
    assert value["audit"] == {"checked": 4, "problems": []}
    assert value["seconds"] >= 0
    kept = {"reach": None, "floor": None, "weight": None, "items": 4, "classified": 0}
    assert value["learned"] == kept  # the line of scores is left out


def test_index_another_folder(shop: Shop) -> None:
    """A folder on the command line goes before the configuration's."""
    (shop.root / "other" / "x").mkdir(parents=True)
    picture(50).save(shop.root / "other" / "x" / "1.png")
    assert command(shop, "index", "other").exit_code == 0
    assert shop.indexed() == ["x/1.png"]


def test_index_with_bad_pictures(shop: Shop) -> None:
    """Exit code 1: some could not be indexed, and each is listed with its reason."""
    shop.add_bytes("lamp/bad.jpg", b"")
    shop.add_bytes("bed/text.jpg", b"no picture at all")
    result = command(shop, "index")
    assert result.exit_code == 1
    assert "4 pictures are indexed" in result.stdout
    assert "2 could not be indexed, listed in " in result.stdout
    assert "  lamp/bad.jpg: empty, 0 bytes\n" in result.stdout
    assert "  bed/text.jpg: " in result.stdout


def test_names_of_bad_pictures_are_printed_as_they_are(shop: Shop) -> None:
    """Markup, emoji codes and length in a file name change nothing of what is printed."""
    for name in ODD_NAMES:
        shop.add_bytes(f"lamp/{name}", b"")
    result = command(shop, "index")
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith("  lamp/")]
    assert lines == [f"  lamp/{name}: empty, 0 bytes" for name in sorted(ODD_NAMES)]


def test_control_characters_in_names_are_escaped(shop: Shop) -> None:
    """A line break in a name makes no second line, and nothing in a name reaches the terminal as a command."""
    shop.add_bytes("lamp/two\nlines.jpg", b"")
    shop.add("lamp/\x1b[31mred.png")
    assert "  lamp/two\\nlines.jpg: empty, 0 bytes\n" in command(shop, "index").stdout
    assert "  lamp/\\x1b[31mred.png  " in command(shop, "search", "catalogue/lamp/a.png").stdout


def test_a_terminal_that_knows_ascii_only(shop: Shop) -> None:
    """What an output cannot show is escaped there, as text and as JSON, and ends nothing."""
    shop.add_bytes("lamp/椅子🛋.jpg", b"")
    plain, parsed = (
        CliRunner(charset="ascii", env=RUN.env).invoke(app, ["index", "--config", str(shop.config), *more])
        for more in ([], ["--json"])
    )
    assert (plain.exit_code, parsed.exit_code) == (1, 1)
    assert "  lamp/\\u6905\\u5b50\\U0001f6cb.jpg: empty, 0 bytes\n" in plain.stdout
    assert json.loads(parsed.stdout_bytes)["failed"][0]["uri"] == "lamp/椅子🛋.jpg"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_name_that_is_not_unicode(shop: Shop, arguments: tuple[str, ...]) -> None:
    """A file name that no terminal can show is reported all the same, and JSON stays JSON."""
    with open(os.fsencode(shop.catalogue) + b"/lamp/\xff.png", "wb") as file:
        picture(9).save(file, "PNG")
    result = command(shop, "index", *arguments)
    assert result.exit_code == 1
    assert result.stdout_bytes.decode("utf-8")
    assert "udcff.png" in result.stdout
    if arguments:
        assert orjson.loads(result.stdout)["failed"][0]["uri"] == "lamp/\\udcff.png"  # a strict reader


def test_index_nothing_readable(shop: Shop) -> None:
    """Exit code 1, as for a few of many, where not one picture can be read."""
    (shop.root / "other" / "x").mkdir(parents=True)
    (shop.root / "other" / "x" / "1.jpg").write_bytes(b"")
    result = command(shop, "index", "other")
    assert result.exit_code == 1
    assert "0 pictures are indexed" in result.stdout
    assert "  x/1.jpg: empty, 0 bytes\n" in result.stdout


def test_index_without_anything_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder `ddsim index` says which file is missing and which command writes it; that then helps."""
    monkeypatch.chdir(tmp_path)
    line = error_line(run("index"), 2)
    assert "configs/resnet50.yaml: no such file" in line
    assert "ddsim config init" in line
    assert run("config", "init").exit_code == 0
    line = error_line(run("index"), 2)
    assert f"{tmp_path / 'catalogue'}: no such folder" in line
    assert "CATEGORY/PICTURE" in line
    assert "ddsim index FOLDER" in line
    assert "configs/photos.yaml" in line


def test_index_a_missing_folder(shop: Shop) -> None:
    """A missing folder on the command line is named."""
    assert "nowhere: no such folder" in error_line(command(shop, "index", "nowhere"), 2)


def test_index_an_empty_folder(shop: Shop) -> None:
    """A folder without a picture is named, with what should be in it."""
    (shop.root / "empty").mkdir()
    assert "empty: no pictures; expected files such as" in error_line(command(shop, "index", "empty"), 2)


def test_index_with_a_wrong_configuration(shop: Shop) -> None:
    """A configuration's mistakes are printed with file and line, and nothing is sent."""
    shop.configure(colour="red")
    text = error(command(shop, "index"), 2)
    assert "shop.yaml:" in text
    assert "colour: unknown key" in text


def remote(shop: Shop, url: str) -> None:
    """Write a configuration for a server at this address."""
    shop.config.write_text(
        f"server: {url}\ncatalogue: catalogue\nnetwork: {{def: /m/d.prototxt, weights: /m/w.caffemodel, nclasses: 5}}\n"
        "similarity: {repository: /i, extract_layer: pool5}\n"
    )


@pytest.mark.parametrize("arguments", [("index", "--wait", 0), ("search", "catalogue/lamp/a.png")])
def test_no_server(shop: Shop, loopback: None, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Exit code 3 where no server answers, with its address and what to start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    shop.configure(server=url, similarity={"repository": str(shop.root / "index")}, classification=None)
    monkeypatch.setattr(ddsim.search.search, "connect", partial(connect, transport=shop.tap, retries=PATIENT))
    assert command(shop, "index", "--wait", 0).exit_code == 0
    monkeypatch.setattr(ddsim.search.search, "connect", partial(connect, retries=PATIENT))
    line = error_line(command(shop, *arguments), 3)
    assert f"no server answers at {url}; start one with `ddsim up` (in Docker) or `ddsim server`" in line


def test_a_server_that_is_just_starting(shop: Shop, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a server and indexes at once is told that it is waited for, and it is."""
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    taken.close()
    started: list[EmbeddedServer] = []

    def patient(settings: Settings, *, retries: int | Retries) -> Client:
        if isinstance(retries, Retries):  # the one that waits: the server comes up now
            assert retries.seconds == 30.0
            started.append(EmbeddedServer(Engine(), "127.0.0.1", port))
            started[0].start()
        return connect(settings, retries=retries)

    monkeypatch.setattr(ddsim.commands.index, "connect", patient)
    shop.configure(
        server=f"http://127.0.0.1:{port}", similarity={"repository": str(shop.root / "index")}, classification=None
    )
    try:
        result = command(shop, "index")
    finally:
        for server in started:
            server.stop()
    assert result.exit_code == 0, result.stderr
    assert "Waiting up to 30 s" in result.stderr


class _Elsewhere(BaseHTTPRequestHandler):
    """Some web server, which knows nothing of DeepDetect."""

    def _refuse(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<html>no such page</html>")

    do_GET = do_PUT = do_POST = _refuse  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_different_server(shop: Shop, loopback: None) -> None:
    """Exit code 3 where what answers is no DeepDetect server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as other:
        Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        remote(shop, f"http://127.0.0.1:{other.server_port}")
        line = error_line(command(shop, "index"), 3)
        other.shutdown()
    assert "something else than a DeepDetect server answers at this address" in line


def test_a_layer_that_the_network_lacks(shop: Shop) -> None:
    """Exit code 2 with the file's line, the nearest names and how to see all; with the right layer it works."""
    shop.configure(similarity={"extract_layer": "pool5/7x7_s1"})
    line = error_line(command(shop, "index"), 2)
    assert re.search(r"shop.yaml:\d+: similarity.extract_layer: the network has no layer 'pool5/7x7_s1'", line)
    assert "did you mean pool1?" in line
    assert "`ddsim network layers " in line
    assert not shop.tap.sent
    shop.configure()
    assert command(shop, "index").exit_code == 0


def test_a_server_fault(tapped: Shop) -> None:
    """Exit code 3 with the server's own words where it fails."""
    tapped.tap.faults.append(lambda sent, _: refusal(500, 1007, "out of something") if sent.indexes else None)
    assert "out of something" in error_line(command(tapped, "index"), 3)


def test_a_conflict(tapped: Shop) -> None:
    """Exit code 3 where somebody else's service of that very name has other settings, showing both."""
    result = command(tapped, "index")
    assert result.exit_code == 0
    spec = tapped.settings.similarity_spec().model_copy(update={"name": tapped.service()})
    tapped.tap.restart()
    tapped.client().create_service(spec.model_copy(update={"mean": (1.0, 2.0, 3.0)}))
    line = error_line(command(tapped, "index"), 3)
    assert "mean: wanted [104.0, 117.0, 123.5], found [1.0, 2.0, 3.0]" in line


def test_interrupted_index(tapped: Shop) -> None:
    """Ctrl-C ends with 130 and a sentence on what to do; doing it heals."""
    tapped.tap.faults.append(lambda sent, _: interrupt() if sent.indexes else None)
    text = error(command(tapped, "index"), 130)
    assert "Interrupted. Run the same command again to go on." in text
    tapped.tap.faults.clear()
    assert command(tapped, "index").exit_code == 0
    assert len(tapped.indexed()) == 4


def test_progress_is_for_terminals(shop: Shop) -> None:
    """On a terminal a bar goes to standard error; standard output holds the summary alone."""
    result = RUN.invoke(app, ["index", "--config", str(shop.config)], env={"FORCE_COLOR": "1"})
    assert "4/4" in result.stderr
    assert result.stdout.count("\n") == 4


def test_python_m_ddsim_index(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m ddsim.index` takes the arguments of `ddsim index` and does the same."""
    monkeypatch.setattr(sys, "argv", ["ignored", "catalogue", "--config", str(shop.config)])
    with pytest.raises(SystemExit) as ended:
        ddsim.index.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("4 pictures are indexed")
    assert len(shop.indexed()) == 4


def test_verbose_tells_more(shop: Shop) -> None:
    """--verbose is accepted by the commands that do the work; results stay on standard output."""
    result = command(shop, "index", "--verbose")
    assert result.exit_code == 0
    assert result.stdout.startswith("4 pictures are indexed")
