"""web/ in a browser: it paints what we paint, and says what is wrong in a sentence."""

import io
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT, randomised
from PIL import Image

from fast_style.checkpoint import FORMAT, write_safetensors
from fast_style.inference.blending import painter, strengthened
from fast_style.inference.stylize import stylize
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet
from scripts import web_models

MODEL = {"channels": [4, 6], "residual_blocks": 1, "kernel_sizes": [3, 3], "noise": True, "skips": True}
BOUNDED = MODEL | {"output": "tanh"}  # an identity that has learnt nothing leaves [0, 1] by far
PATIENCE = 120_000  # milliseconds
PIXELS = """() => {
  const canvas = document.getElementById('after');
  return {width: canvas.width, height: canvas.height,
          data: Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)};
}"""


@pytest.fixture(scope="module")
def networks():
    several = MultiStyleNet(BOUNDED, ["day", "night"], torch.rand(2, 4), identity=True)
    return randomised(TransformerNet(**MODEL)), randomised(several)


@pytest.fixture(scope="module")
def site(networks, tmp_path_factory):
    """The folder of the page, with two small models."""
    pytest.importorskip("onnxscript", reason="pip install -e '.[export]' brings what the page's models need")
    if not (ROOT / "web" / "node_modules").is_dir():
        pytest.skip("web/node_modules is missing: npm install in web/ brings ONNX Runtime for browsers")
    folder, files = tmp_path_factory.mktemp("web"), tmp_path_factory.mktemp("models")
    for name in ("index.html", "page.js", "page.css"):
        shutil.copy(ROOT / "web" / name, folder)
    (folder / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    metadata = (
        {"format": FORMAT, "model": MODEL, "style": {"name": "plain"}},
        {"format": FORMAT, "model": BOUNDED, "task": "multi_style", "styles": [{"name": "day"}, {"name": "night"}]},
    )
    for index, (network, own) in enumerate(zip(networks, metadata, strict=True)):
        write_safetensors(files / f"{index}.safetensors", network.state_dict(), own)
    web_models.main(sorted(map(str, files.glob("*"))), folder / "models")
    return folder


@pytest.fixture
def page(site, serve, chromium):
    """The page in headless Chromium; at the end nothing may have gone wrong, and nothing have been asked elsewhere."""
    with serve(site) as url:
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        wrong, asked = [], []
        page.wrong = wrong
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        wait_for(page, "Ready")
        yield page
        page.close()
    assert not wrong
    assert all(one.startswith((url, "blob:", "data:")) for one in asked)


def wait_for(page, pattern):
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(page.locator("#status")).to_have_text(re.compile(pattern), timeout=PATIENCE)


def set_strength(page, percent):
    page.evaluate(
        """percent => { const slider = document.getElementById('strength');
           slider.value = percent; slider.dispatchEvent(new Event('input')); }""",
        percent,
    )


def painted(page, size, how):
    """What is shown when the page says that it has painted so, (H, W, 3)."""
    wait_for(page, rf"^{how} %, {size[0]} × {size[1]} pixels, [\d.]+ s with WebAssembly$")
    shown = page.evaluate(PIXELS)
    assert (shown["width"], shown["height"]) == size
    return np.array(shown["data"], dtype=np.uint8).reshape(size[1], size[0], 4)[..., :3].astype(float)


@pytest.mark.slow
def test_the_page(page, networks, photo, tmp_path):
    file = photo(tmp_path / "a photo.png", 45, 62)
    images = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255
    plain, several = networks

    def expected(network):
        return 255 * stylize(network, images)[0].permute(1, 2, 0).numpy()

    assert page.locator("#styles input").count() == 3
    assert all(image.get_attribute("alt") for image in page.locator("#styles img").all())

    page.set_input_files("#file", file)
    np.testing.assert_allclose(painted(page, (62, 45), "plain at 100"), expected(plain), atol=2)
    set_strength(page, 40)
    blended = painter(plain, ["plain"], lambda *_: plain, strength=0.4)
    np.testing.assert_allclose(
        painted(page, (62, 45), "plain at 40"), 255 * blended(images)[0].permute(1, 2, 0).detach(), atol=2
    )

    page.locator("#styles label", has_text="night").click()
    np.testing.assert_allclose(
        painted(page, (62, 45), "night at 40"), expected(strengthened(several, "night", 0.4)), atol=2
    )

    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "a photo_night.png"
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as saved:
        np.testing.assert_array_equal(np.array(saved)[..., :3], painted(page, (62, 45), "night at 40"))

    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("notes.txt", "empty.png"):
        page.set_input_files("#file", tmp_path / name)
        page.wait_for_selector("#problem:visible")
        assert re.fullmatch(f"{name} is not a picture that this browser can read: .*", page.inner_text("#problem"))
    assert page.evaluate(PIXELS)["width"] == 62, "the picture that was there stays"

    page.select_option("#size", "256")
    page.click("#camera")
    wait_for(page, "frames a second")
    assert page.evaluate(PIXELS)["width"] == 256
    page.click("#camera")
    page.wait_for_selector("#camera[aria-pressed=false]")


@pytest.mark.slow
def test_without_models_a_sentence_says_what_to_run(page, site):
    (site / "models" / "models.json").rename(site / "models" / "away.json")
    try:
        page.reload()
        page.wait_for_selector("#problem:visible")
        assert "python scripts/web_models.py" in page.inner_text("#problem")
        assert all("404" in line for line in page.wrong), "the browser's own word on it"
        page.wrong.clear()
    finally:
        (site / "models" / "away.json").rename(site / "models" / "models.json")
