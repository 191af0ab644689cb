"""The stability term knows a picture that moves with its photo from one that stays or flickers."""

import torch

from fast_style.training import stability
from fast_style.training.stability import stability_error


def smooth(count=2, size=64):
    torch.manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0.1, 0.9)


def test_what_moves_with_the_photo_is_stable(monkeypatch):
    monkeypatch.setattr(stability, "NOISE", 0.0)
    photos = smooth()
    assert stability_error(lambda images: 1 - images, photos, 1 - photos) < 1e-3
    texture = torch.rand(3, 64, 64)  # on the screen, where it stays
    fixed = stability_error(lambda images: images + texture, photos, photos + texture)
    assert 0.5 < fixed < 3
    assert stability_error(lambda images: images.flip(0), photos, photos) > 0.2


def test_noise_counts_as_far_as_it_shows():
    """A network that makes ten times as much of it has an error a hundred times as large."""
    photos = smooth()
    errors = [
        stability_error(lambda images, gain=gain: 0.5 + gain * (images - 0.5), photos, 0.5 + gain * (photos - 0.5))
        * (gain**2 * photos.var((2, 3)).mean())
        for gain in (1.0, 10.0)
    ]
    torch.testing.assert_close(errors[0], torch.tensor(stability.NOISE**2), rtol=0.2, atol=0)
    torch.testing.assert_close(errors[1] / errors[0], torch.tensor(100.0), rtol=0.01, atol=0)


def test_it_follows_from_the_photos_and_trains():
    photos, weight = smooth(), torch.ones(1, requires_grad=True)
    texture = torch.rand(3, 64, 64)

    def error():
        return stability_error(lambda images: images + weight * texture, photos, photos + weight * texture)

    found = error()
    assert torch.equal(found, error()) and not torch.equal(found, stability_error(lambda x: x, photos[:1], photos[:1]))
    found.backward()
    assert weight.grad > 0, "less of what stays on the screen"


def test_the_error_is_a_term_of_the_training(compose_config, tmp_path):
    from conftest import TINY_RUN
    from omegaconf import OmegaConf

    from fast_style.training.style_transfer import StyleTransfer

    overrides = (*TINY_RUN, "style=mosaic", f"run_dir={tmp_path}", "init_from=null")
    photos = smooth(2, 32)
    for weight in (0, 0.5):
        config = OmegaConf.to_container(compose_config("train", *overrides, f"stability_weight={weight}"), resolve=True)
        torch.manual_seed(0)
        task = StyleTransfer(config)
        terms = task.stylized_terms(photos)
        assert ("stability_loss" in terms) == bool(weight)
    expected = 0.5 * stability_error(task.transformer, photos, task.transformer(photos))
    torch.testing.assert_close(terms["stability_loss"], expected)
