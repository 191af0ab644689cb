"""Runs side by side: in their rows and columns, with what they paint and reached, or why there is nothing."""

import base64
import sys
import zlib
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from PIL import Image

from fast_style.checkpoint import load_network, save_release
from fast_style.data.images import read_rgb
from fast_style.data.sample_photos import sample_photo
from fast_style.data.styles import bundled_styles
from fast_style.errors import FastStyleError
from fast_style.inference.contact_sheet import FIGURE, arrange, table, wrapped, write_contact_sheet
from fast_style.inference.runs import Run, find_runs, overrides_of, photos_to_show, read_run
from fast_style.inference.stylize import stylize
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler

sys.path.insert(0, str(ROOT / "scripts"))

import contact_sheet

MODEL = {"channels": [4, 6], "residual_blocks": 1, "kernel_sizes": [3, 3]}
LOSSES = {"val/total_loss": 6.5, "val/content_loss": 1.0, "val/style_loss": 5.5, "steps": 1200, "seconds": 61.2}


def write_overrides(folder, *overrides):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))


@pytest.fixture
def run_folder(tmp_path):
    """run_folder(name, *overrides, network=..., **config) -> the folder of a run with random weights."""

    def make(name, *overrides, network=None, style="mosaic", **config):
        folder = tmp_path / "sweep" / name
        write_overrides(folder, *overrides)
        config = {
            "model": MODEL,
            "style": {"name": style, "style_size": 64},
            "objective": {"content_weight": 2, "style_weight": 5},
            "data": {"_target_": "fast_style.data.content.Samples", "count": 4, "photo_share": 0.5, "batch_size": 1,
                     "image_size": 32, "seed": 0},
        } | config  # fmt: skip
        torch.manual_seed(zlib.crc32(name.encode()))
        network = network or TransformerNet(**MODEL)
        styles = {style: [bundled_styles()[style]]}
        save_release(folder / "model.safetensors", network, config, styles, LOSSES)
        return folder

    return make


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.heads, self.rows, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == "img":
            self.images.append(attributes)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append(attributes["data-value"])

    def handle_data(self, text):
        if self.tags and self.tags[-1][0] == "button" and text.strip():
            self.heads.append(text)


def test_sheet(run_folder, tmp_path):
    """Two axes: what every network paints of the held-out photos is in its place, a failure says why."""
    sweep = tmp_path / "sweep"
    folders = {}
    for number, (style, weight) in enumerate([(s, w) for s in ("mosaic", "ink_wash") for w in (1, 5, 25)]):
        said = (f"style={style}", f"objective.style_weight={weight}", "max_steps=9")
        if number == 4:
            write_overrides(sweep / "4_ink_wash", *said)
            (sweep / "4_ink_wash" / "error.txt").write_text("error: the disk is <full>\n")
        else:
            folders[style, weight] = run_folder(f"{number}_{style}", *said, style=style)
    picture, page = write_contact_sheet(sweep)
    assert (picture, page) == (sweep / "contact_sheet.png", sweep / "contact_sheet.html")

    sheet = np.asarray(Image.open(picture).convert("RGB"))
    crops = []
    for name in ("chelsea.png", "coffee.png"):
        photo = read_rgb(sample_photo(name), 288)
        top, left = ((size - 256) // 2 for size in photo.shape[:2])
        crops.append(torch.from_numpy(photo[top : top + 256, left : left + 256].transpose(2, 0, 1) / 255).float())
    places = {}
    for key, folder in folders.items():
        network = load_network(folder / "model.safetensors")[0]
        painted = stylize(network, torch.stack(crops)).mul(255).permute(0, 2, 3, 1).byte().numpy()
        places[key] = [find(sheet, one) for one in painted]
    rows, columns = ({place[0][axis] for place in places.values()} for axis in (0, 1))
    assert len(rows) == 2 and len(columns) == 3
    assert places["mosaic", 1][0][1] < places["mosaic", 5][0][1] < places["mosaic", 25][0][1]
    assert places["mosaic", 1][0][0] < places["ink_wash", 1][0][0]
    for one, other in places.values():
        assert one[0] == other[0] and other[1] - one[1] == 260, "two photos side by side"

    text = page.read_text()
    read = Page(text)
    assert read.heads == ["run", "style", "style_weight", "style picture", "pictures", "total", "content", "style",
                          "tone", "steps", "seconds"]  # fmt: skip
    first = read.rows[1]
    assert first[:4] == ["0_mosaic", "mosaic", "1", "mosaic"]
    assert [float(value) for value in first[5:8]] == [6.5, 0.5, 1.1] and first[9:] == ["1200", "61.2"]
    assert read.rows[5][4:] == ["error: the disk is <full>", *[""] * 6]
    assert ">error: the disk is &lt;full&gt;<" in text
    assert len(read.images) == 2 + 5 * 3 and all(image["alt"] for image in read.images)
    for image in read.images:  # all that is shown is in the file
        Image.open(BytesIO(base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,")))).load()
    assert "http" not in text and not any("src" in attributes for tag, attributes in read.tags if tag != "img")
    assert "prefers-color-scheme: dark" in text and 'lang="en"' in text


def test_a_click_on_a_heading_sorts_the_page(run_folder, tmp_path, chromium):
    """Numbers as such, in a browser, which loads nothing else; at the edge of the heading, too."""
    for index, weight in enumerate((5, 25, 1)):
        run_folder(f"{index}", f"objective.style_weight={weight}")
    _, path = write_contact_sheet(tmp_path / "sweep")
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    heading = page.locator("th", has_text="style_weight")
    column = heading.evaluate("heading => heading.cellIndex + 1")
    for expected in (["1", "5", "25"], ["25", "5", "1"]):
        heading.click(position={"x": 2, "y": 2})
        assert page.locator(f"tbody td:nth-child({column})").all_inner_texts() == expected
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert all(url.startswith(("file:", "data:")) for url in asked)


def find(sheet, picture):
    """(top, left) of a picture in another."""
    height, width = picture.shape[:2]
    for top, left in np.argwhere((sheet[: 1 - height, : 1 - width] == picture[0, 0]).all(-1)):
        if np.array_equal(sheet[top : top + height, left : left + width], picture):
            return int(top), int(left)
    raise AssertionError("the picture is not on the sheet")


def arranged(*overrides):
    """The labels of rows and of columns, and the numbers of the runs in them."""
    rows, columns, cells = arrange(
        "sweep", [Run(Path(f"sweep/{number}"), said) for number, said in enumerate(overrides)]
    )
    numbers = {place: int(run.folder.name) for place, run in cells.items()}
    lines = list(rows.values()), list(columns.values())
    return *lines, [[numbers.get((row, column)) for column in columns] for row in rows]


def test_further_axes_are_further_rows():
    sweep = [{"style": s, "a.lr": w, "seed": seed, "max_steps": "9"} for s in "mk" for w in "12" for seed in "01"]
    rows, columns, numbers = arranged(*sweep)
    assert rows == [["style=m", "seed=0"], ["style=m", "seed=1"], ["style=k", "seed=0"], ["style=k", "seed=1"]]
    assert columns == [["lr=1"], ["lr=2"]] and numbers == [[0, 2], [1, 3], [4, 6], [5, 7]]


def test_one_axis_is_a_column():
    assert arranged({"style": "m"}, {"style": "k"}) == ([["style=m"], ["style=k"]], [[]], [[0], [1]])


def test_a_job_that_was_never_begun():
    assert arranged({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"})[2] == [[0, 1], [2, None]]


def test_a_search_has_a_row_each():
    """Its values are all different: a grid would be nearly empty."""
    search = [{"optimizer.lr": str(number / 7), "objective.style_weight": str(number)} for number in range(3)]
    rows, columns, numbers = arranged(*search)
    assert rows[1] == ["1", f"lr={1 / 7}", "style_weight=1"] and columns == [[]] and numbers == [[0], [1], [2]]
    wide = [{f"key{axis}": f"{number}.{axis}" for axis in range(9)} for number in range(30)]
    assert len(arranged(*wide)[0]) == 30, "30 to the ninth cells would have been built"


def test_the_same_run_twice_has_a_row_each():
    assert arranged({"style": "m"}, {"style": "m"})[0] == [["0"], ["1"]]
    assert arranged({"style": "m"}, {"style": "k"}, {"style": "k"})[0][2] == ["2", "style=k"]


def test_keys_that_end_alike_are_named_whole():
    rows, columns, _ = arranged(*({"model.x": a, "data.x": b} for a in "12" for b in ("/a/c.jpg", "/a/d.jpg")))
    assert rows == [["model.x=1"], ["model.x=2"]] and columns == [["data.x=c.jpg"], ["data.x=d.jpg"]]


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(run_folder, tmp_path):
    for name in ("10_mosaic", "2_mosaic", "more/1"):
        run_folder(name)
    write_overrides(tmp_path / "sweep" / "3_failed")
    found = [str(path.relative_to(tmp_path / "sweep")) for path in find_runs(tmp_path / "sweep")]
    assert found == ["2_mosaic", "3_failed", "10_mosaic", "more/1"]


def test_a_run_that_has_no_model_or_a_damaged_one(run_folder, photo, tmp_path):
    folder = run_folder("0", "style='a, b'")
    (folder / "error.txt").write_text("of an earlier try")
    photos = [torch.rand(3, 16, 16)]
    assert read_run(folder, photos).failure is None and read_run(folder, photos).overrides == {"style": "a, b"}
    (folder / "model.safetensors").write_text("damaged")
    assert "no safetensors file" in read_run(folder, photos).failure
    (folder / "model.safetensors").unlink()
    assert read_run(folder, photos).failure == "of an earlier try"
    (folder / "error.txt").unlink()
    assert "no model" in read_run(folder, photos).failure


def test_other_tasks(run_folder):
    """A texture network draws without the photo; one of several styles takes turns."""
    arguments = {"channels": [4, 3], "branch_channels": 2, "noise_channels": 1}
    photos = [torch.rand(3, 16, 16), torch.rand(3, 16, 16)]
    texture = run_folder("t", network=TextureGenerator(**arguments, content=False), task="texture", generator=arguments)
    read = read_run(texture, photos)
    assert read.failure is None and "tone" not in read.figures and not torch.equal(*read.pictures)
    several = MultiStyleNet(MODEL, ["mosaic"], torch.zeros(1, 2))
    styles = run_folder("m", network=several, task="multi_style")
    read = read_run(styles, photos)
    assert read.failure is None and "tone" in read.figures
    with torch.no_grad():
        expected = several.eval()(photos[1][None], torch.ones(1, 1)).clamp(0, 1)[0]
    torch.testing.assert_close(read.pictures[1], expected)
    arguments = {"scale": 2, "width": 4, "residual_blocks": 1}
    read = read_run(run_folder("e", network=Upscaler(**arguments), task="super_resolution", upscaler=arguments), photos)
    assert read.failure is None and [picture.shape for picture in read.pictures] == [(3, 16, 16)] * 2


def test_the_photos_are_those_the_runs_held_out(run_folder, photo, tmp_path):
    for name in "abcd":
        photo(tmp_path / "photos" / f"{name}.png", 300, 400, seed=ord(name))
    data = {"_target_": "fast_style.data.content.Folder", "root": str(tmp_path / "photos"), "validation_count": 2,
            "unreadable_log": str(tmp_path / "log"), "image_size": 32, "batch_size": 1, "seed": 0}  # fmt: skip
    folder = run_folder("0", data=data)
    first, second = photos_to_show([folder], 2)
    expected = read_rgb(tmp_path / "photos" / "c.png", 288)
    np.testing.assert_allclose(first.permute(1, 2, 0) * 255, expected[16:272, 64:320], atol=1e-3)
    assert not torch.equal(first, second)
    (tmp_path / "photos").rename(tmp_path / "gone")
    cat = photos_to_show([folder], 2)[0]
    assert torch.equal(cat, photos_to_show([], 2)[0]) and not torch.equal(cat, first)


def test_nothing_in_a_model_file_is_imported(run_folder, tmp_path):
    folder = run_folder("0", data={"_target_": "os.makedirs", "name": str(tmp_path / "executed")})
    assert len(photos_to_show([folder], 2)) == 2 and not (tmp_path / "executed").exists()


def test_command(run_folder, photo, tmp_path, capsys):
    folder = run_folder("0", "style=mosaic").parent
    mine = photo(tmp_path / "mine.png", 70, 90)
    contact_sheet.main([str(folder), "--photos", str(mine)])
    assert f"wrote {folder}/contact_sheet.png\nwrote {folder}/contact_sheet.html" in capsys.readouterr().out
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width < 600, "one photo"
    with pytest.raises(FastStyleError, match="no such folder"):
        contact_sheet.main([str(tmp_path / "none")])
    with pytest.raises(FastStyleError, match="no runs"):
        contact_sheet.main([str(folder / "0" / ".hydra")])


def test_text_is_broken_between_words_and_none_is_lost():
    line = "error: style.image=/photos/a_very_long_folder_name/picture.jpg: no such file and more words"
    lines = wrapped(line, FIGURE, 150)
    assert all(FIGURE.getlength(one) <= 150 for one in lines)
    assert "".join(lines).replace(" ", "") == line.replace(" ", "")
    assert wrapped("short", FIGURE, 150) == ["short"] and len(wrapped("m" * 60, FIGURE, 150)) > 2


def test_table():
    red, blue = Image.new("RGB", (3, 2), "red"), Image.new("RGB", (1, 5), "blue")
    whole = table([[red, blue], [blue]], 2)
    assert whole.size == (3 + 2 + 1, 5 + 2 + 5)
    assert whole.getpixel((5, 0)) == whole.getpixel((0, 7)) == (0, 0, 255) and whole.getpixel((0, 2)) == (255,) * 3


def test_overrides_of_every_kind(tmp_path):
    write_overrides(
        tmp_path, "scales=[1,0.5]", "name='x y'", "+a.b=1e-3", "compile=true", "photo=null", "styles=[a,b]", "~x"
    )
    assert overrides_of(tmp_path) == {
        "scales": "[1,0.5]", "name": "x y", "a.b": "0.001", "compile": "true", "photo": "null", "styles": "[a,b]",
        "x": "null",
    }  # fmt: skip
