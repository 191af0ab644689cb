"""The sheet of strengths and mixtures: every picture is what Stylizer paints, where its label says."""

import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from fast_style import Stylizer
from fast_style.checkpoint import write_safetensors
from fast_style.data.images import read_image, resize_short_side
from fast_style.networks.multi_style import MultiStyleNet

sys.path.insert(0, str(ROOT / "scripts"))

from style_path import main, rows_of
from train_gallery import GAP, LABEL_HEIGHT, square

MODEL = {"channels": [4, 8], "residual_blocks": 1}


@pytest.fixture(params=[True, False], ids=["identity", "none"])
def model(request, tmp_path):
    torch.manual_seed(0)
    network = MultiStyleNet(MODEL, ["a", "b"], torch.randn(2, 6), request.param)
    torch.nn.init.normal_(network.offsets, std=0.1)
    metadata = {"task": "multi_style", "model": MODEL, "styles": [{"name": "a"}, {"name": "b"}]}
    path = tmp_path / "model.safetensors"
    write_safetensors(path, network.state_dict(), {"format": "fast_style transformer 1"} | metadata)
    return path


def test_rows():
    first, second, between = rows_of(["a", "b"], True, 1.5)
    assert list(first)[:2] == ["a\nstrength 0", "a\nstrength 0.25"] and len(first) == len(between) == 7
    assert list(second.values())[-1] == {"style": "b", "strength": 1.5}
    assert between["a 0.50\nb 0.50"] == {"style": {"a": 0.5, "b": 0.5}}
    assert rows_of(["a"], False, 1) == [{f"a\nstrength {s:g}": {"strength": s} for s in (0, 0.25, 0.5, 0.75, 1)}]


def test_sheet(model, photo, tmp_path, capsys):
    source = photo(tmp_path / "photo.png", 50, 60)
    main([str(model), f"--photo={source}", f"--sheet={tmp_path}/path.png", "--cell=32"])
    assert capsys.readouterr().out.endswith("path.png\n")
    sheet, paint = np.asarray(Image.open(tmp_path / "path.png")), Stylizer(model)
    columns = 7 if paint.network.identity else 5
    height = LABEL_HEIGHT + 32 + 2 * GAP
    assert sheet.shape == (3 * height, columns * (32 + GAP) + GAP, 3)
    image = resize_short_side(read_image(source)[0], 64)
    for row, column, keys in ((0, 0, {"style": "a", "strength": 0.0}), (1, 4, {"style": "b"}),
                              (2, columns - 1, {"style": "b"})):  # fmt: skip
        top, left = row * height + LABEL_HEIGHT + GAP, GAP + column * (32 + GAP)
        expected = square(image if keys.get("strength") == 0 else paint(image, **keys), 32).permute(1, 2, 0) * 255
        np.testing.assert_allclose(sheet[top : top + 32, left : left + 32], expected, atol=1)


@pytest.mark.parametrize("options, message", [
    (["--styles", "c"], "--styles c: the model has a, b"), (["--cell=8"], "--cell 8"),
    (["--sheet=a.gif"], "--sheet=a.gif: must end in"), (["--photo=none.jpg"], "none.jpg"),
])  # fmt: skip
def test_errors(model, options, message):
    with pytest.raises(SystemExit, match=message):
        main([str(model), *options])
