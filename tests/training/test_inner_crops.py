"""In training the losses see a part of every picture, anywhere, and nothing of what is around it."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from fast_style.training.inner_crops import draw_starts, inner_crops
from fast_style.training.style_transfer import StyleTransfer


def test_inner_crops_are_slices():
    images = torch.rand(3, 4, 20, 24, dtype=torch.float64, requires_grad=True)
    starts = torch.tensor([[0, 0], [5, 2], [3, 5]])
    cut = inner_crops(images, 5, starts)
    sliced = [image[:, top : top + 15, left : left + 19] for image, (top, left) in zip(images, starts, strict=True)]
    assert torch.equal(cut, torch.stack(sliced)) and inner_crops(images, 0) is images
    weights = torch.rand_like(cut)
    ours, plain = (torch.autograd.grad((part * weights).sum(), images)[0] for part in (cut, torch.stack(sliced)))
    assert torch.equal(ours, plain)


def test_they_are_anywhere():
    (starts,) = draw_starts(np.random.default_rng(0), 500, 3)
    assert sorted({tuple(start) for start in starts.tolist()}) == [
        (row, column) for row in range(4) for column in range(4)
    ]
    assert draw_starts(np.random.default_rng(0), 500, 0) == []


@pytest.mark.parametrize(("model", "size"), [("medium", 96), ("johnson", 128)])
def test_what_is_not_seen_is_free(compose_config, monkeypatch, model, size):
    """A step is the objective of the parts of picture and photo; of the whole where nothing is cut off a picture."""
    overrides = "image_size=128", "style.style_size=64", "init_from=null", "run_dir=none", f"model={model}"
    config = OmegaConf.to_container(compose_config("train", *overrides), resolve=True)
    task, photos, seen = StyleTransfer(config), torch.rand(2, 3, 128, 128), []
    objective = task.perceptual_loss.forward
    monkeypatch.setattr(task.perceptual_loss, "forward", lambda *images: seen.append(images) or objective(*images))
    terms = task.terms(photos, "train", 0)
    ((stylized, content),) = seen
    assert stylized.shape == content.shape == (2, 3, size, size)
    starts = task.draw_starts(photos)
    assert len(starts) == (size < 128)
    torch.testing.assert_close(starts, task.draw_starts(photos), rtol=0, atol=0)
    torch.testing.assert_close(content, inner_crops(photos, 128 - size, *starts))
    expected = objective(*(inner_crops(each, 128 - size, *starts) for each in (task.transformer(photos), photos)))
    torch.testing.assert_close(terms, expected)
