"""Content images: streams that depend on the seed and the position alone, folders as people have them."""

from collections import Counter
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fast_style.data.content import (
    CentreCrops,
    Coco,
    ContentError,
    ContentImages,
    Folder,
    ImageFolder,
    RandomCrops,
    SampleImages,
    Samples,
    StepSampler,
)

# Image i holds its number in red, and row and column in green and blue.
NUMBERED = [
    np.stack([np.full((20, 25), i), *np.meshgrid(np.arange(20), np.arange(25), indexing="ij")], -1).astype(np.uint8)
    for i in range(7)
]


def every(images):
    return [images[index] for index in range(len(images))]


def start(content_images, step=0, rank=0, world_size=1):
    """The data module as Lightning's trainer would leave it at a step."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    content_images.trainer = SimpleNamespace(
        global_step=step, global_rank=rank, world_size=world_size, strategy=strategy
    )
    return content_images


@pytest.fixture
def folder_of(tmp_path, photo):
    """folder_of(**options) -> a Folder over 9 photos: nested, of mixed modes and suffixes, one beside a text file."""
    root = tmp_path / "photos"
    for index in range(4):
        photo(root / f"{index}.jpg", 40 + index, 60, seed=index)
    photo(root / "grey" / "a.png", 50, 41, mode="L")
    photo(root / "alpha" / "deep" / "b.png", 45, 70, mode="RGBA")
    photo(root / "palette.gif", 64, 64, mode="P")
    photo(root / "cmyk.jpeg", 80, 40, mode="CMYK")
    photo(root / "small.webp", 10, 12)
    (root / "notes.txt").write_text("not a photo")

    def build(**options):
        defaults = {"validation_count": 2, "image_size": 32, "batch_size": 3, "seed": 0}
        log = str(tmp_path / "unreadable.txt")
        folder = Folder(**{"root": str(root), "unreadable_log": log, "num_workers": 0} | defaults | options)
        folder.setup("fit")
        return folder

    return build


# --- crops


def test_random_crops_are_a_function_of_seed_and_position():
    crops = RandomCrops(NUMBERED, 16, seed=3)
    in_order = [crops[position] for position in range(30)]
    again = RandomCrops(NUMBERED, 16, seed=3)
    for position in reversed(range(30)):
        assert torch.equal(again[position], in_order[position])
    other = RandomCrops(NUMBERED, 16, seed=4)
    assert sum(torch.equal(other[position], in_order[position]) for position in range(30)) < 5


def test_random_crops_show_every_image_once_per_epoch():
    crops = RandomCrops(NUMBERED, 16, seed=0)
    orders = [[int(crops[position][0, 0, 0]) for position in range(7 * epoch, 7 * epoch + 7)] for epoch in range(4)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1, "epochs are shuffled anew"


def test_random_crops_are_places_of_the_image_mirrored_or_not():
    crops, corners, mirrored = RandomCrops(NUMBERED, 16, seed=0), Counter(), 0
    for position in range(400):
        number, rows, columns = crops[position].numpy()
        assert crops[position].dtype == torch.uint8 and (number == number[0, 0]).all()
        np.testing.assert_array_equal(rows, np.arange(rows[0, 0], rows[0, 0] + 16)[:, None].repeat(16, 1))
        if columns[0, 0] > columns[0, 1]:
            columns, mirrored = columns[:, ::-1], mirrored + 1
        np.testing.assert_array_equal(columns, np.arange(columns[0, 0], columns[0, 0] + 16)[None].repeat(16, 0))
        corners[int(rows[0, 0]), int(columns[0, 0])] += 1
    assert set(corners) == {(top, left) for top in range(5) for left in range(10)}, "all of 5 x 10 places"
    assert 150 < mirrored < 250


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_crop_without_contents_has_noise_of_a_level(value):
    frame = np.full((70, 80, 3), value, np.uint8)
    crops = RandomCrops([frame, frame + (value < 255)], image_size=64, seed=3)
    first, again, other = crops[0].float(), crops[0].float(), crops[1].float()
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0.5 < first.std() < 1.1 and (first - value).abs().max() < 7


def test_a_crop_with_contents_is_as_it_is():
    spot = np.zeros((64, 64, 3), np.uint8)
    spot[30, 30] = 200
    assert RandomCrops([spot], image_size=64, seed=0)[0].count_nonzero() == 3


def test_image_as_small_as_the_crop():
    assert RandomCrops([NUMBERED[0][:16, :16]], 16, seed=0)[5].shape == (3, 16, 16)


def test_centre_crops():
    crop = CentreCrops(NUMBERED, 16)[4]
    np.testing.assert_array_equal(crop, NUMBERED[4][2:18, 4:20].transpose(2, 0, 1))
    assert len(CentreCrops(NUMBERED, 16)) == 7


# --- steps


def positions(start, stop, *arguments):
    return [list(batch) for batch in islice(StepSampler(start, *arguments), stop - start)]


def test_steps_of_one_process():
    assert positions(0, 3, 4, 0, 1) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_two_processes_share_the_stream():
    both = [positions(0, 5, 2, rank, 2) for rank in range(2)]
    assert sorted(position for batches in both for batch in batches for position in batch) == list(range(20))
    for step, (first, second) in enumerate(zip(*both, strict=True)):
        assert sorted(first + second) == positions(0, 5, 4, 0, 1)[step], "a step sees what one process would see"


def test_a_resumed_sampler_continues():
    for rank in range(2):
        assert positions(3, 6, 2, rank, 2) == positions(0, 6, 2, rank, 2)[3:]


# --- data modules


def test_folder_reads_what_people_have(folder_of):
    content_images = folder_of(validation_count=1)
    assert len(content_images.training_paths) == 8
    for image in every(content_images.training_images()) + every(content_images.validation_images()):
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert min(image.shape[:2]) == 36, "room for a random crop of 32"
    assert not content_images.unreadable_log.exists()


def test_folder_holds_out_the_last_by_path(folder_of):
    content_images = folder_of(validation_count=3)
    names = [path.name for path in content_images.training_paths + content_images.validation_paths]
    assert names == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "b.png", "cmyk.jpeg", "a.png", "palette.gif", "small.webp"]
    assert len(content_images.validation_paths) == 3


def test_images_can_be_iterated(folder_of):
    for content_images in (folder_of(), samples()):
        images = content_images.training_images()
        assert len(list(islice(images, len(images) + 1))) == len(images)


def test_unreadable_images_are_logged_and_replaced_by_the_next(photo, tmp_path):
    paths = [photo(tmp_path / f"{index}.png", 20, 20, seed=index) for index in range(4)]
    paths[1].write_bytes(b"damaged")
    paths[2].unlink()
    images = ImageFolder(paths, 20, tmp_path / "log.txt")
    np.testing.assert_array_equal(images[1], np.array(Image.open(paths[3])))
    np.testing.assert_array_equal(images[0], np.array(Image.open(paths[0])))
    log = (tmp_path / "log.txt").read_text().splitlines()
    assert len(log) == 2 and str(paths[1]) in log[0] and str(paths[2]) in log[1]


def test_no_readable_image(tmp_path):
    paths = [tmp_path / "0.jpg", tmp_path / "1.jpg"]
    images = ImageFolder(paths, 20, tmp_path / "log.txt")
    with pytest.raises(ContentError, match=f"none of the 2 images.*{tmp_path / 'log.txt'}"):
        images[0]
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 2


def test_folder_refuses_what_it_cannot_train_on(folder_of, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContentError, match="data.root=.*empty holds 0 images"):
        folder_of(root=str(tmp_path / "empty"))
    with pytest.raises(ContentError, match="data.root=/no/such: no such folder"):
        folder_of(root="/no/such")
    with pytest.raises(ContentError, match="holds 9 images.*data.validation_count=9"):
        folder_of(validation_count=9)


def test_what_a_folder_holds_besides_images_is_told_once(folder_of, tmp_path, capsys):
    folder_of()
    line = f"data.root={tmp_path / 'photos'}: left out 1 that are no pictures by their suffix (1 .txt)\n"
    assert capsys.readouterr().out == line
    folder_of().setup("validate")
    assert capsys.readouterr().out == line
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    with pytest.raises(ContentError, match=r"holds 0 images.*left out 1 that are no pictures by their suffix \(1 .txt"):
        folder_of(root=str(tmp_path / "texts"))


def test_strips_and_animations_are_skipped_and_logged(photo, tmp_path):
    paths = [photo(tmp_path / f"{index}.png", 20, 20, seed=index) for index in range(2)]
    strip, animation = photo(tmp_path / "strip.png", 1, 4000), tmp_path / "animation.gif"
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(animation, save_all=True, append_images=frames[1:])
    images = ImageFolder([paths[0], strip, animation, paths[1]], 20, tmp_path / "log.txt")
    np.testing.assert_array_equal(images[1], np.array(Image.open(paths[1])))
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first.startswith(f"{strip}: a strip") and second.startswith(f"{animation}: 2 frames or pages")


@pytest.mark.parametrize("split", ["train2017", "train2014"])
def test_coco_trains_on_the_training_photos(photo, tmp_path, split):
    for index in range(3):
        photo(tmp_path / "coco" / split / f"{index:012d}.jpg", 40, 40, seed=index)
    photo(tmp_path / "coco" / "val2017" / "9.jpg", 40, 40)
    options = {"image_size": 32, "batch_size": 1, "seed": 0, "unreadable_log": str(tmp_path / "log")}
    content_images = Coco(root=str(tmp_path / "coco"), validation_count=1, **options)
    content_images.setup("fit")
    found = content_images.training_paths + content_images.validation_paths
    assert [path.name for path in found] == ["000000000000.jpg", "000000000001.jpg", "000000000002.jpg"]


def test_coco_says_how_to_get_it(tmp_path):
    options = {"image_size": 32, "batch_size": 1, "seed": 0, "unreadable_log": str(tmp_path / "log")}
    with pytest.raises(ContentError) as caught:
        Coco(root=str(tmp_path), validation_count=1, **options).setup("fit")
    for part in (str(tmp_path), "train2017", f"python scripts/download_coco.py {tmp_path}", "data=folder"):
        assert part in str(caught.value)


def test_workers_do_not_change_the_batches(folder_of):
    (folder_of().training_paths[2]).write_bytes(b"damaged")
    alone, together = (
        list(islice(start(folder_of(num_workers=workers)).train_dataloader(), 4)) for workers in (0, 2)
    )  # fmt: skip
    assert len(alone) == 4
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other) and one.shape == (3, 3, 32, 32)


def test_a_resumed_loader_continues(folder_of):
    whole = list(islice(start(folder_of()).train_dataloader(), 4))
    rest = list(islice(start(folder_of(), step=2).train_dataloader(), 2))
    for one, other in zip(whole[2:], rest, strict=True):
        assert torch.equal(one, other)


def samples(**options):
    defaults = {"count": 20, "photo_share": 0.3, "image_size": 32, "batch_size": 2, "seed": 0}
    return Samples(**defaults | options)


def test_samples_are_photos_and_procedural_images():
    content_images = samples()
    images = content_images.training_images()
    assert len(images) == 20
    photos = [image for image in every(images) if min(image.shape[:2]) > 36]
    assert len(photos) == 6, "photo_share of count; they are larger, so that crops differ"
    np.testing.assert_array_equal(images[7], SampleImages(20, 36, 0.3, seed=0)[7])
    assert not np.array_equal(images[7], SampleImages(20, 36, 0.3, seed=1)[7])
    assert next(iter(start(content_images).train_dataloader())).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("kind", ["folder", "samples"])
def test_training_never_sees_the_held_out_images(folder_of, kind):
    content_images = folder_of() if kind == "folder" else samples()
    training, held_out = ({image.tobytes() for image in every(images)} for images in (
        content_images.training_images(), content_images.validation_images()
    ))  # fmt: skip
    assert len(held_out) == (2 if kind == "folder" else 8)
    assert training and not training & held_out
    if kind == "folder":
        assert not set(content_images.training_paths) & set(content_images.validation_paths)
    else:
        assert not {"chelsea.png", "coffee.png"} & set(SampleImages.PHOTOS)


def test_validation_is_the_same_every_time():
    first, again = (torch.cat(list(samples(seed=seed).val_dataloader())) for seed in (0, 1))
    assert first.shape == (8, 3, 32, 32) and torch.equal(first, again)


def test_batches_arrive_in_0_to_1():
    content_images = samples()
    batch = next(iter(start(content_images).train_dataloader()))
    assert batch.dtype == torch.uint8, "a quarter of the bytes to move"
    arrived = content_images.on_after_batch_transfer(batch, 0)
    assert arrived.dtype == torch.float32
    np.testing.assert_array_equal(arrived, batch.numpy().astype(np.float32) / np.float32(255))


def test_default_workers():
    options = {"image_size": 32, "batch_size": 1, "seed": 0}
    assert ContentImages(**options).num_workers == ContentImages.default_workers
    assert ContentImages(**options, num_workers=3).num_workers == 3
    assert samples().num_workers == 0
