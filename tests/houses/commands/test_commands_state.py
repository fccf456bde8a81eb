"""`ddsim state`: which indexes there are, which are old, and removing them."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
import yaml
from shop import Shop, picture
from terminal import command, error_line, run

from ddsim import load
from ddsim.catalogue import Locks


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """A shop that was indexed twice: with a layer that the configuration no longer names, and as it is now."""
    shop.configure(index={"backend": "local"}, similarity={"extract_layer": "fc1"})
    assert command(shop, "index").exit_code == 0
    shop.configure(index={"backend": "local"})
    assert command(shop, "index").exit_code == 0
    return shop


def state(shop: Shop, *args: object) -> str:
    """What a command prints that goes well."""
    result = run("state", *args, "--config", shop.config)
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(shop: Shop) -> dict[str, str]:
    """Name -> status."""
    return {one["name"]: one["status"] for one in json.loads(state(shop, "list", "--json"))["indexes"]}


def test_what_there_is(shop: Shop) -> None:
    """Each index with its catalogue, size and use; one that the settings of today do not give is old."""
    assert sorted(listed(shop).values()) == ["old", "used"]
    text = state(shop, "list")
    assert f"{shop.catalogue}, 4 pictures, local l2, " in text
    assert "of this configuration with another network" in text
    assert "`ddsim state prune --config " in text


def test_before_anything_was_indexed(tmp_path: Path) -> None:
    """Nothing is there, and nothing comes of looking."""
    shop = Shop(tmp_path)
    assert json.loads(state(shop, "list", "--json")) == {
        "state": str(shop.settings.state),
        "indexes": [],
        "cache_bytes": 0,
    }
    assert "no index is in" in state(shop, "list")
    assert not shop.settings.state.exists()


def test_pruning_takes_what_is_old(shop: Shop) -> None:
    """What is used stays and answers; a dry run says the same and removes nothing."""
    assert state(shop, "prune", "--dry-run").endswith(
        "1 of 2 would be removed, " + state(shop, "prune").split()[-2] + " MB\n"
    )
    assert list(listed(shop).values()) == ["used"]
    query = shop.root / "query.png"
    picture(99).save(query)
    assert command(shop, "search", query).exit_code == 0


def test_a_catalogue_that_is_not_there_is_removed_by_name_only(shop: Shop) -> None:
    """It may be on a disk that is not mounted."""
    (shop.root / "other" / "x").mkdir(parents=True)
    picture(50).save(shop.root / "other" / "x" / "1.png")
    assert command(shop, "index", "other").exit_code == 0
    (shop.root / "other").rename(shop.root / "away")
    (missing,) = (name for name, status in listed(shop).items() if status == "missing")
    state(shop, "prune")
    assert missing in listed(shop)
    state(shop, "prune", missing)
    assert missing not in listed(shop)


def test_other_configurations_are_left_alone(shop: Shop) -> None:
    """Their indexes lie in the same folder, and are shown as theirs."""
    text = shop.config.read_text("utf-8")
    (shop.root / "second.yaml").write_text(text + "name: second\n", "utf-8")
    assert run("index", "--config", shop.root / "second.yaml").exit_code == 0
    assert sorted(listed(shop).values()) == ["old", "other", "used"]
    state(shop, "prune")
    assert sorted(listed(shop).values()) == ["other", "used"]


def namesake(shop: Shop, state: object) -> Path:
    """A configuration of the same name in another folder, with the same state folder, after it was indexed."""
    settings = yaml.safe_load(shop.config.read_text("utf-8"))
    settings |= {"catalogue": str(shop.root / "theirs"), "state": str(state)}
    settings["similarity"] = {"extract_layer": "fc1"}
    (shop.root / "theirs" / "lamp").mkdir(parents=True)
    picture(60).save(shop.root / "theirs" / "lamp" / "1.png")
    path = shop.root / "second" / shop.config.name
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(settings), "utf-8")
    assert run("index", "--config", path).exit_code == 0
    return path


def test_a_namesake_is_left_alone(shop: Shop) -> None:
    """Two configurations of one name that share a state folder do not take each other's indexes for old ones."""
    theirs = namesake(shop, shop.settings.state)
    assert sorted(listed(shop).values()) == ["old", "other", "used"]
    state(shop, "prune")
    assert sorted(listed(shop).values()) == ["other", "used"]
    found = json.loads(run("state", "list", "--json", "--config", theirs).stdout)["indexes"]
    assert sorted(one["status"] for one in found) == ["other", "used"]


def test_the_indexes_of_a_namesake_that_is_gone_are_old(shop: Shop) -> None:
    """Nobody is left who could use them."""
    namesake(shop, shop.settings.state).unlink()
    assert sorted(listed(shop).values()) == ["old", "old", "used"]


def test_a_project_elsewhere_can_prune_what_it_left(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its old indexes are its own wherever it moves, and so are those of a copy, whose original is still there."""
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(shop.root, moved)
    found = json.loads(run("state", "list", "--json", "--config", moved / shop.config.name).stdout)["indexes"]
    assert "old" in [one["status"] for one in found]
    assert "other" not in [one["status"] for one in found]


def test_what_an_older_version_indexed_is_known_by_its_name(shop: Shop) -> None:
    """It did not note whose an index is."""
    namesake(shop, shop.settings.state)
    for note in shop.settings.state.glob("*/*/catalogue.json"):
        told = json.loads(note.read_text("utf-8"))
        note.write_text(json.dumps({key: told[key] for key in ("known_as", "path", "mark")}), "utf-8")
    assert sorted(listed(shop).values()) == ["old", "old", "used"]


def test_an_index_that_a_run_works_on_stays(shop: Shop) -> None:
    """It is refused, and says who is at work."""
    (old,) = (name for name, status in listed(shop).items() if status == "old")
    with Locks(load(shop.config).state / old).writing():
        assert "another run works on this index" in error_line(run("state", "prune", "--config", shop.config), 2)
    assert old in listed(shop)


def test_an_unknown_name(shop: Shop) -> None:
    """Nothing is removed."""
    assert "no index 'nobody'" in error_line(run("state", "prune", "nobody", "--config", shop.config), 2)
    assert len(listed(shop)) == 2


def test_a_manifest_that_is_none(shop: Shop) -> None:
    """It is listed as one that cannot be read, and can be removed."""
    (old,) = (name for name, status in listed(shop).items() if status == "old")
    (load(shop.config).state / old / "manifest.sqlite").write_bytes(b"no database at all, but long enough for one")
    assert "cannot be read" in state(shop, "list")
    state(shop, "prune", old)
    assert old not in listed(shop)


def on_the_server(shop: Shop) -> str:
    """An index on the server, by its name here."""
    shop.configure()
    assert command(shop, "index", "--rebuild").exit_code == 0
    (used,) = (name for name, status in listed(shop).items() if status == "used")
    return used


def test_an_index_on_the_server_goes_too(shop: Shop) -> None:
    """Its folder there is removed with all that is in it, and nothing else."""
    used = on_the_server(shop)
    assert len(list(shop.index_folder.glob("*-g1"))) == 1
    state(shop, "prune", "--dry-run", used)
    assert len(list(shop.index_folder.glob("*-g1"))) == 1
    state(shop, "prune", used)
    assert list(shop.index_folder.glob("*-g*")) == []
    assert list(shop.index_folder.iterdir()) != []


def test_an_index_on_a_server_that_is_not_there_is_named(shop: Shop, loopback: None) -> None:
    """Removing what is here leaves the server's files, says where they are, and is not all well."""
    used = on_the_server(shop)
    places = {"classification": {"repository": "/m/classes"}, "similarity": {"repository": "/m/similar"}}
    shop.configure(server={"url": "http://127.0.0.1:1"}, **places)
    result = run("state", "prune", "--dry-run", used, "--config", shop.config)
    assert (result.exit_code, "its vectors stay" in result.stderr) == (1, True)
    result = run("state", "prune", used, "--config", shop.config)
    assert result.exit_code == 1, result.output
    assert used not in listed(shop)
    assert "its vectors stay on the server, in " in result.stderr


def test_the_index_of_the_original_is_left_alone_by_its_copy(shop: Shop) -> None:
    """Removing a copy of a state folder removes nothing of the server's."""
    used = on_the_server(shop)
    copied = shop.settings.state.with_name("copied")
    shutil.copytree(shop.settings.state, copied)
    shop.configure(state=str(copied))
    result = run("state", "prune", used, "--config", shop.config)
    assert "another state folder's" in result.stderr
    assert len(list(shop.index_folder.glob("*-g1"))) == 1


def test_a_copy_of_what_is_still_there_is_not_adopted(shop: Shop) -> None:
    """Two would use one index, and every picture that is new would be in it twice; moved, it is adopted."""
    on_the_server(shop)
    original = shop.settings.state
    shutil.copytree(original, original.with_name("copied"))
    shop.configure(state=str(original.with_name("copied")))
    told = error_line(run("state", "adopt", "--config", shop.config), 2)
    assert "was not moved: it is a copy of" in told
    assert f"{original}/" in told
    assert "`ddsim index" in told
    shutil.rmtree(original)
    assert state(shop, "adopt").splitlines() == [str(shop.catalogue), "1 adopted"]


def test_of_several_catalogues_those_that_may_be_are_adopted(shop: Shop) -> None:
    """Each copy that is refused is named, whichever comes first; exit code 1."""
    on_the_server(shop)
    original, copied = shop.settings.state, shop.settings.state.with_name("copied")
    other = shop.root / "other"
    shutil.copytree(shop.catalogue, other)
    assert run("index", other, "--config", shop.config).exit_code == 0
    shutil.copytree(original, copied)
    for one in json.loads(state(shop, "list", "--json"))["indexes"]:
        if one["catalogue"] == str(other):
            shutil.rmtree(one["folder"])
    shop.configure(state=str(copied))
    result = run("state", "adopt", "--config", shop.config, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["adopted"] == [str(other)]
    assert [one["catalogue"] for one in told["refused"]] == [str(shop.catalogue)]
    assert "was not moved: it is a copy of" in told["refused"][0]["reason"]
    result = run("state", "adopt", "--config", shop.config)
    assert (result.exit_code, result.stdout) == (1, "0 adopted\n")
    assert f"error: {shop.catalogue}: " in result.stderr
    assert f"`ddsim index {shop.catalogue} --config {shop.config}`" in result.stderr


def test_a_state_folder_from_another_machine_is_adopted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that it is neither searched nor indexed into; afterwards nothing is sent again."""
    on_the_server(shop)
    copied = shop.settings.state.with_name("copied")
    shutil.copytree(shop.settings.state, copied)
    shop.configure(state=str(copied))
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    for arguments in (("index",), ("search", shop.catalogue / "lamp/a.png")):
        assert "`ddsim state adopt --config " in error_line(command(shop, *arguments), 2)
    assert state(shop, "adopt").splitlines() == [str(shop.catalogue), "1 adopted"]
    assert state(shop, "adopt") == "0 adopted\n"
    assert json.loads(command(shop, "index", "--json").stdout)["sent"] == 0
