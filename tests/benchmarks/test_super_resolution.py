"""The benchmark of enlargements, in small: its figures against other programs', its sheet, its errors."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.super_resolution import Judge, compare, main, parse
from fast_style.checkpoint import save_release
from fast_style.errors import FastStyleError
from fast_style.networks.upscaler import Upscaler, resize_bicubic
from fast_style.training.super_resolution import degrade


@pytest.fixture
def release(tmp_path):
    """release(name, scale) -> a file of an untrained network, which is bicubic interpolation."""

    def save(name, scale=4):
        arguments = {"scale": scale, "width": 4, "norm": "none", "residual": True, "histogram_matching": False}
        config = {"task": "super_resolution", "upscaler": arguments, "error": name, "style": {"name": f"x{scale}"}}
        path = tmp_path / f"{name}.safetensors"
        save_release(path, Upscaler(**arguments), config, {}, {"val/psnr": 20.0})
        return str(path)

    return save


def test_figures_and_sheet(release, vgg, photo, tmp_path, monkeypatch, capsys):
    paths = [photo(tmp_path / "photos" / f"{index}.png", 42, 30, seed=index) for index in range(3)]
    files = [release("pixel"), release("feature")]
    options = ["--photos", str(tmp_path / "photos"), "--count", "2", "--rows", "1", "--part", "20", "--cell", "40"]
    outputs = ["--output", str(tmp_path / "out" / "r.json"), "--sheet", str(tmp_path / "out" / "sheet.png")]
    weights = str(vgg("tiny_vgg16")[1])
    monkeypatch.setattr("sys.argv", ["super_resolution", "--ckpt", *files, *options, *outputs, "--vgg16", weights])
    main()
    result = json.loads((tmp_path / "out" / "r.json").read_text())
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.index("{") :]) == result["ways"]
    assert (result["scale"], result["photos"], result["judge"]) == (4, 2, "vgg16_caffe relu2_2")
    assert result["models"]["pixel"]["error"] == "pixel" and result["models"]["feature"]["losses"] == {"val/psnr": 20}
    assert list(result["ways"]) == ["bicubic", "pixel", "feature"]
    assert result["ways"]["pixel"] == pytest.approx(result["ways"]["bicubic"], rel=1e-3)
    decibels = []
    for path in paths[1:]:  # the last of the folder
        truth = np.asarray(Image.open(path))[1:41, 1:29]
        large = torch.from_numpy(truth.copy()).permute(2, 0, 1)[None] / 255
        small = (degrade(large, 4) * 255).round() / 255
        bicubic = resize_bicubic(small, (40, 28)).clamp(0, 1)[0].permute(1, 2, 0).numpy()
        pair = (rgb2ycbcr(one)[..., 0] for one in (truth / 255, bicubic))
        decibels.append(peak_signal_noise_ratio(*pair, data_range=255))
    assert result["ways"]["bicubic"]["psnr"] == pytest.approx(np.mean(decibels), abs=1e-2)
    sheet = Image.open(tmp_path / "out" / "sheet.png")
    assert sheet.size == (4 * 46 - 6, 28 + 62)
    truth = Image.open(paths[1]).crop((1, 1, 29, 41)).crop((4, 10, 24, 30)).resize((40, 40), Image.Resampling.NEAREST)
    assert sheet.crop((0, 28, 40, 68)).tobytes() == truth.tobytes()


def test_the_judge(vgg):
    """Relative error at relu2_2, by torchvision's own layers."""
    features, path = vgg("tiny_vgg16")
    one, other = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    judge = Judge(str(path))
    assert judge(one, one)["feature"] == 0 and judge(one, one)["ssim"] == pytest.approx(1)
    mean = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    with torch.no_grad():
        found, wanted = (features[:9](image * 255 - mean) for image in (one, other))
    expected = float((found - wanted).square().sum() / wanted.square().sum())
    assert judge(one, other)["feature"] == pytest.approx(expected, rel=1e-3)


def test_what_cannot_be_compared(release, trained, photo, tmp_path):
    path = photo(tmp_path / "photo.png", 20, 20)
    for files, photos, message in (
        ([trained / "model.safetensors"], path, "is no model of task=super_resolution"),
        ([release("a"), release("b", 2)], path, "different scales .a x4, b x2"),
        ([release("a")], photo(tmp_path / "small.png", 9, 40), "small.png: is too small"),
        ([release("a")], tmp_path / "none.png", "none.png"),
    ):
        with pytest.raises(FastStyleError, match=message):
            compare(parse(["--ckpt", *map(str, files), "--photos", str(photos)]))
