"""ddsim.search.connection: the server that settings name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shop import Shop, picture

from ddsim import ImageSearch, InvalidRequest, ServerUnreachable, connect

REMOTE = """\
server: http://127.0.0.1:{port}
network: {{def: /m/d.prototxt, weights: /m/w.caffemodel, nclasses: 5}}
similarity: {{repository: /i, extract_layer: pool5}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop."""
    return Shop(tmp_path)


def test_embedded(shop: Shop) -> None:
    """Where the settings say so, a server of this process answers, without any socket; closing ends it."""
    with connect(shop.settings) as client:
        assert client.info().services == ()
    with pytest.raises(ServerUnreachable):
        client.info()


def test_each_embedded_server_is_its_own(shop: Shop) -> None:
    """Two connections share the folders and nothing else."""
    with connect(shop.settings) as one, connect(shop.settings) as other:
        one.create_service(shop.settings.similarity_spec())
        assert [service.name for service in one.info().services] == ["shop-similar"]
        assert other.info().services == ()


def test_a_url(shop: Shop, loopback: None) -> None:
    """Where the settings name an address, that is where calls go."""
    shop.config.write_text(REMOTE.format(port=1))
    with connect(shop.settings, retries=0) as client, pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:1;"):
        client.info()


def test_a_transport_goes_before_the_settings(shop: Shop) -> None:
    """A transport that is given carries the calls, whatever server the settings name."""
    shop.config.write_text(REMOTE.format(port=1))
    with connect(shop.settings, transport=shop.tap) as client:
        assert client.info().version == "v0.25.0"
    assert shop.tap.closed


def test_limits_and_upload_come_from_the_settings(shop: Shop) -> None:
    """Pictures are prepared and batched as configured."""
    shop.configure(index={"batch_size": 3}, upload={"shrink": True})
    client = connect(shop.settings, transport=shop.tap)
    client.create_service(shop.settings.similarity_spec())
    big = [picture(seed, (640, 480)) for seed in range(7)]
    assert client.extract("shop-similar", big, layer="pool1").shape == (7, 392)
    assert [len(sent.ids) for sent in shop.tap.matching("POST")] == [3, 3, 1]
    assert max(len(data) for sent in shop.tap.matching("POST") for data in sent.json["data"]) < 20_000
    with pytest.raises(InvalidRequest, match="more than one request may hold"):
        client.add_to_index("shop-similar", {str(n): one for n, one in enumerate(big)}, layer="pool1")


def test_a_real_server_needs_neither_opencv_nor_faiss(tmp_path: Path) -> None:
    """Importing ddsim, reading a configuration and connecting to an address load none of the embedded server."""
    (tmp_path / "remote.yaml").write_text(REMOTE.format(port=1))
    text = (
        "import sys, ddsim, ddsim.commands.app\n"
        "ddsim.connect(ddsim.load('remote.yaml')).close()\n"
        "print(sorted({'cv2', 'faiss', 'onnxruntime', 'ddsim.embedded'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "[]", "")


def test_a_photo_goes_through_a_network_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services on the embedded server with the same network share the pass of a search, with other photos, too."""
    from ddsim.embedded.runtime import Session

    passes: list[int] = []
    run = Session.run

    def counted(session: Session, outputs: Sequence[str], pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        passes.append(len(pictures))
        return run(session, outputs, pictures)

    shop.add(*(f"lamp/{number:02d}.png" for number in range(6)))
    with ImageSearch(shop.settings) as search:
        search.index()
        search.query(picture(1), labels=True)
        monkeypatch.setattr(Session, "run", counted)
        for seed in (2, 3):
            assert search.query(picture(seed), labels=True).labels
    assert passes == [1, 1]
