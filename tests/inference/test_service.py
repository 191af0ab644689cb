"""Pictures by HTTP: what comes back, and what is refused."""

import json
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from fast_style.checkpoint import FORMAT, save_release
from fast_style.errors import FastStyleError
from fast_style.inference.stylizer import Stylizer
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet

pytest.importorskip("fastapi", reason='the service needs FastAPI: pip install -e ".[serve]"')
pytest.importorskip("httpx", reason='its tests need httpx: pip install -e ".[benchmarks]"')

from fastapi.testclient import TestClient  # noqa: E402

from fast_style.inference.service import Painter, build_app, load_styles  # noqa: E402

MODEL = {"channels": [4, 6], "residual_blocks": 1}
LIMITS = {
    "max_bytes": 20_000, "max_pixels": 10_000, "max_size": 64, "at_once": 1, "waiting": 2, "timeout": 30,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model of one style, mosaic, and one of two, woodcut and waves."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    config = {"task": "style_transfer", "model": MODEL, "style": {"name": "mosaic"}}
    save_release(folder / "a.safetensors", TransformerNet(**MODEL), config, {}, {})
    several = MultiStyleNet(MODEL, ["woodcut", "waves"], torch.rand(2, 4))
    torch.nn.init.normal_(several.offsets)
    metadata = {"task": "multi_style", "model": MODEL, "styles": [{"name": "woodcut"}, {"name": "waves"}]}
    strings = {key: json.dumps(value) for key, value in metadata.items()}
    save_file(several.state_dict(), folder / "b.safetensors", strings | {"format": FORMAT})
    return folder


@pytest.fixture(scope="module")
def client(models):
    return TestClient(build_app(load_styles(str(models), "cpu", "32-true"), LIMITS), raise_server_exceptions=False)


def photo(name="JPEG", size=(40, 30), mode="RGB"):
    file, noise = BytesIO(), np.random.default_rng(0).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    Image.fromarray(noise).save(file, name)
    return file.getvalue()


def test_a_photo_comes_back_as_a_program_would_paint_it(client, models):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/styles").json() == ["mosaic", "woodcut", "waves"]
    mosaic = Stylizer(models / "a.safetensors", "cpu", "32-true")
    several = Stylizer(models / "b.safetensors", "cpu", "32-true")
    for sent, kind in ((photo(), "image/jpeg"), (photo("PNG", mode="RGBA"), "image/png"), (photo("WEBP"), "image/png")):
        answer = client.post("/stylize?style=mosaic", content=sent)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == mosaic(sent) and Image.open(BytesIO(answer.content)).size == (40, 30)
    answer = client.post("/stylize?style=waves&max_size=20&strength=0.5&preserve_color=true", content=photo())
    with pytest.warns(UserWarning, match="no identity"):
        expected = several(photo(), "waves", max_size=20, strength=0.5, preserve_color=True)
    assert answer.content == expected and Image.open(BytesIO(expected)).size == (20, 15)


@pytest.mark.parametrize(
    "query, body, status, told",
    [
        ("style=mosaic", b"no photo", 415, "send a whole photo, one of JPEG, PNG, WEBP"),
        ("style=mosaic", b"", 415, "send a whole photo"),
        ("style=mosaic", photo("TIFF"), 415, "send a whole photo"),
        ("style=mosaic", photo()[:-300], 422, "the picture: image file is truncated"),
        ("style=mosaic", b"\xff\xd8" + bytes(30_000), 413, "a photo may have 20,000 bytes"),
        ("style=mosaic", photo("PNG", (101, 100))[:2000], 413, "a photo may have 10,000 pixels, and this has 101x100"),
        ("style=candy", photo(), 422, "Input should be 'mosaic', 'woodcut' or 'waves'"),
        ("", photo(), 422, "Field required"),
        ("style=mosaic&max_size=65", photo(), 422, "less than or equal to 64"),
        ("style=mosaic&strength=1.6", photo(), 422, "less than or equal to 1.5"),
    ],
)
def test_refusals(client, query, body, status, told):
    answer = client.post(f"/stylize?{query}", content=body)
    assert answer.status_code == status and told in answer.text and "Traceback" not in answer.text


def test_the_page_knows_the_styles_and_takes_a_file(client):
    stylize = client.get("/openapi.json").json()["paths"]["/stylize"]["post"]
    (style,) = [one["schema"] for one in stylize["parameters"] if one["name"] == "style"]
    assert style["enum"] == ["mosaic", "woodcut", "waves"]
    assert stylize["requestBody"]["content"]["image/jpeg"]["schema"]["format"] == "binary"
    assert client.get("/docs").status_code == 200


def test_those_who_wait_are_few_and_all_are_answered():
    """One picture is painted, two wait; a fourth is told so, and the three are painted when they may be."""
    painting, go_on = threading.Semaphore(0), threading.Event()

    def paint(photo, **_):
        painting.release()
        assert go_on.wait(30)
        return photo

    with TestClient(build_app({"mosaic": Painter(paint, None)}, LIMITS)) as client, ThreadPoolExecutor(4) as pool:
        ask = lambda: client.post("/stylize?style=mosaic", content=photo())  # noqa: E731
        asked = [pool.submit(ask) for _ in range(4)]
        assert painting.acquire(timeout=30)
        answered, others = wait(asked, 30, FIRST_COMPLETED)  # whichever came last
        (refused,) = (one.result() for one in answered)
        assert refused.status_code == 503 and "too many pictures are waiting" in refused.text
        assert refused.headers["retry-after"] == "5" and client.get("/healthz").status_code == 200
        go_on.set()
        assert [one.result(30).status_code for one in others] == [200] * 3


def test_waiting_ends():
    painting, go_on = threading.Event(), threading.Event()
    styles = {"mosaic": Painter(lambda photo, **_: painting.set() or go_on.wait(30) and photo, None)}
    with TestClient(build_app(styles, LIMITS | {"timeout": 0.1})) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/stylize?style=mosaic", content=photo())
        assert painting.wait(30)
        answer = client.post("/stylize?style=mosaic", content=photo())
        assert answer.status_code == 503 and "no turn for 0.1 s" in answer.text
        go_on.set()
        assert first.result(30).status_code == 200


def test_models_that_cannot_be_served(models, tmp_path):
    with pytest.raises(FastStyleError, match="no model.safetensors is in it"):
        load_styles(str(tmp_path))
    with pytest.raises(FastStyleError, match="two have a style that is called mosaic"):
        load_styles([str(models / "a.safetensors"), str(models)])
