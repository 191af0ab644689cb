"""Losses against explicit loops in float64, and a perceptual loss written a second time on a bare state dict."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from scipy.linalg import inv, sqrtm

from fast_style.errors import FastStyleError
from fast_style.losses import (
    PerceptualLoss,
    gram_matrix,
    in_colors_of,
    mean_squared_error,
    relative_error,
    rescale,
    tone_error,
    total_variation,
)
from fast_style.networks.loss_network import load_loss_network


def random_images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- the formulas, by loops


def loop_gram(features):
    batch, channels, height, width = features.shape
    gram = np.zeros((batch, channels, channels))
    for b in range(batch):
        for i in range(channels):
            for j in range(channels):
                gram[b, i, j] = sum(
                    features[b, i, y, x] * features[b, j, y, x] for y in range(height) for x in range(width)
                )
    return gram / (channels * height * width)


def loop_total_variation(images):
    batch, channels, height, width = images.shape
    sums = np.zeros(batch)
    for b in range(batch):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    if y + 1 < height:
                        sums[b] += (images[b, c, y + 1, x] - images[b, c, y, x]) ** 2
                    if x + 1 < width:
                        sums[b] += (images[b, c, y, x + 1] - images[b, c, y, x]) ** 2
    return sums


def loop_mean_squared(value, target):
    total = 0.0
    for a, b in zip(value.ravel(), target.ravel(), strict=True):
        total += (a - b) ** 2
    return total / value.size


def test_gram_matrix():
    features = random_images(2, 3, 4, 5).double() - 0.4
    np.testing.assert_allclose(gram_matrix(features), loop_gram(features.numpy()), rtol=1e-12)
    single = gram_matrix(features.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, loop_gram(features.numpy()), rtol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gram_matrix_gradient(memory_format):
    features = random_images(2, 3, 4, 5).double().contiguous(memory_format=memory_format).requires_grad_()
    assert torch.autograd.gradcheck(gram_matrix, features)
    half = features.detach().bfloat16().requires_grad_()
    weights = random_images(2, 3, 3)  # not symmetric
    (gradient,) = torch.autograd.grad((gram_matrix(half) * weights).sum(), half)
    (expected,) = torch.autograd.grad((gram_matrix(features) * weights).sum(), features)
    assert gradient.dtype == torch.bfloat16
    np.testing.assert_allclose(gradient.float(), expected, atol=0.01 * expected.abs().max())


def test_gram_matrix_is_float32_under_autocast():
    features = random_images(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    exact = torch.einsum("bihw,bjhw->bij", features.double(), features.double()) / features[0].numel()
    torch.testing.assert_close(gram.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gram_matrix_of_large_half_precision_features(dtype):
    features = torch.full((1, 4, 64, 64), 200.0, dtype=dtype)  # 200^2 * 64^2 is 2500 times float16's maximum
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, torch.full((1, 4, 4), 200.0**2 / 4), rtol=2**-9, atol=0)


def test_gram_matrix_of_bfloat16_features_is_rounded_once():
    features = (random_images(2, 8, 96, 96) - 0.3).bfloat16()  # more pixels than are summed at once
    exact = torch.einsum("bihw,bjhw->bij", features.double(), features.double()) / features[0].numel()
    errors = (gram_matrix(features) - exact).abs() / exact.diagonal(dim1=1, dim2=2).mean()
    assert errors.max() < 2**-8 and (gram_matrix(features.float()) - exact).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(4, 5), (1, 6), (6, 1), (1, 1)])
def test_total_variation(size):
    images = random_images(2, 3, *size)
    value = total_variation(images)
    assert value.dtype == torch.float32 and value.shape == (2,)
    np.testing.assert_allclose(value, loop_total_variation(images.double().numpy()), rtol=1e-5)
    assert total_variation(images.bfloat16()).dtype == torch.float32


def test_mean_squared_error():
    value, target = random_images(2, 3, 4), random_images(1, 3, 4, seed=1)
    expected = [loop_mean_squared(one.double().numpy(), target[0].double().numpy()) for one in value]
    np.testing.assert_allclose(mean_squared_error(value, target), expected, rtol=1e-5)


def test_relative_error():
    value, target = random_images(2, 3, 4), random_images(1, 3, 4, seed=1)
    norm = loop_mean_squared(target.double().numpy(), np.zeros((1, 3, 4)))
    expected = [loop_mean_squared(one.double().numpy(), target[0].double().numpy()) / norm for one in value]
    np.testing.assert_allclose(relative_error(value, target), expected, rtol=1e-5)
    torch.testing.assert_close(relative_error(0 * value, target), torch.ones(2))
    torch.testing.assert_close(relative_error(1000 * value, 1000 * target), relative_error(value, target))
    assert relative_error(value, 0 * target).isfinite().all(), "a black target divides by zero"


def test_tone_error_against_a_correlation_of_block_means():
    stylized, photos = random_images(2, 3, 50, 73), random_images(2, 3, 50, 73, seed=1)
    stylized[1] = 0.7 * stylized[1] + 0.3 * photos[1]
    for found, picture, photo in zip(tone_error(stylized, photos), stylized, photos, strict=True):
        blocks = []
        for image in (picture.double().numpy(), photo.double().numpy()):
            luminance = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
            blocks.append([luminance[y : y + 2, x : x + 2].mean() for y in range(0, 50, 2) for x in range(0, 72, 2)])
        assert float(found) == pytest.approx(1 - np.corrcoef(blocks)[0, 1], abs=0.01)
    assert float(tone_error(photos, photos).max()) < 0.02


def test_tone_error_asks_for_light_and_dark_only():
    photos = random_images(1, 3, 48, 48)
    other_palette = torch.stack([0.9 - 0.1 * photos[:, 0], 0.2 + 0.1 * photos[:, 1], 0.4 * photos[:, 2]], 1)
    grey = torch.einsum("bchw,c->bhw", photos, torch.tensor([0.299, 0.587, 0.114]))[:, None].expand(-1, 3, -1, -1)
    assert float(tone_error(0.5 * grey + 0.1, photos)) < 0.05
    assert float(tone_error(1 - grey, photos)) > 1.9
    assert 0.1 < float(tone_error(other_palette, photos)) < 1.9
    flat = torch.full((1, 3, 48, 48), 0.4, requires_grad=True)
    tone_error(flat, photos).sum().backward()
    assert flat.grad.isfinite().all(), "no light and dark at all"


def test_rescale_halves_by_antialiasing():
    images = random_images(1, 1, 8, 8).double()
    taps = np.array([1, 3, 3, 1]) / 8  # triangle of width 2 about the middle of each pair of pixels
    matrix = np.zeros((4, 8))
    for row in range(4):
        for tap, column in zip(taps, range(2 * row - 1, 2 * row + 3), strict=True):
            if 0 <= column < 8:
                matrix[row, column] = tap
    matrix /= matrix.sum(1, keepdims=True)
    np.testing.assert_allclose(rescale(images, 0.5)[0, 0], matrix @ images[0, 0].numpy() @ matrix.T, rtol=1e-12)
    assert rescale(images, 1) is images
    assert rescale(images[..., :1, :1], 0.5).shape == (1, 1, 1, 1)


# --- the perceptual loss

# Positions in torchvision's vgg16().features.
RELU_INDEX = {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22}
POOLS = (4, 9, 16)
NORMALISE = {
    "vgg16": lambda images: (
        (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    ),
    # The means that torchvision states for these weights, RGB from 0 to 255.
    "vgg16_caffe": lambda images: images * 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1),
}


def plain_features(path, name, images):
    """Activations of torchvision's VGG-16 in float64, from its state dict alone."""
    state_dict = torch.load(path)
    x, features = NORMALISE[name](images.double()), {}
    for index in range(23):
        if f"features.{index}.weight" in state_dict:
            weight, bias = (state_dict[f"features.{index}.{kind}"].double() for kind in ("weight", "bias"))
            x = F.conv2d(x, weight, bias, padding=1)
        else:
            x = F.max_pool2d(x, 2) if index in POOLS else x.clamp_min(0)
        features[index] = x.numpy()
    return {layer: features[index] for layer, index in RELU_INDEX.items()}


def plain_loss(path, name, objective, stylized, content_images, style_image):
    """The three weighted terms, by loops."""
    ours, photos, style = (plain_features(path, name, images) for images in (stylized, content_images, style_image))
    batch = len(stylized)
    content_loss = sum(loop_mean_squared(ours[layer], photos[layer]) for layer in objective["content_layers"])
    style_loss = 0.0
    for layer in objective["style_layers"]:
        style_gram = loop_gram(style[layer])[0]
        style_loss += sum(loop_mean_squared(gram, style_gram) for gram in loop_gram(ours[layer])) / batch
    tv_loss = loop_total_variation(stylized.double().numpy()).sum() / batch
    return {
        "content_loss": objective["content_weight"] * content_loss,
        "style_loss": objective["style_weight"] * style_loss,
        "tv_loss": objective["tv_weight"] * tv_loss,
    }


RELATIVE = (
    "objective.content_layers=[relu2_2]",
    "objective.style_layers=[relu1_2,relu3_3]",
    "objective.style_weights=1",
    "objective.tone_weight=0",
)
STYLIZED, PHOTOS, STYLE = random_images(2, 3, 16, 24), random_images(2, 3, 16, 24, seed=1), random_images(1, 3, 20, 16)


@pytest.fixture
def perceptual_loss(vgg, compose_config):
    """perceptual_loss(network, *overrides) -> the loss of a config, the objective as plain data, the weights file."""

    def build(network, *overrides, style_image=STYLE):
        objective = OmegaConf.to_container(compose_config("train", *overrides).objective)
        path = vgg("tiny_vgg16")[1]
        layers = [*objective["content_layers"], *objective["style_layers"]]
        style_images = style_image if isinstance(style_image, list) else [style_image]
        return PerceptualLoss(load_loss_network(network, layers, path), style_images, **objective), objective, path

    return build


@pytest.mark.parametrize(
    "network, overrides",
    [
        ("vgg16_caffe", ["objective=johnson2016"]),
        ("vgg16_caffe", ["objective=johnson2016", "objective.content_layers=[relu3_3]"]),
        ("vgg16", ["objective=pytorch_examples"]),
        ("vgg16", ["objective=pytorch_examples", "objective.tv_weight=0.3"]),
    ],
)
def test_published_objectives(perceptual_loss, network, overrides):
    loss, objective, path = perceptual_loss(network, *overrides)
    terms = loss(STYLIZED, PHOTOS)
    expected = plain_loss(path, network, objective, STYLIZED, PHOTOS, STYLE)
    assert list(terms) == list(expected)
    for name, term in terms.items():
        assert term.shape == () and term.dtype == torch.float32
        assert float(term) == pytest.approx(expected[name], rel=1e-4), name
    assert float(sum(terms.values())) == pytest.approx(sum(expected.values()), rel=1e-4)


def test_relative_objective_has_total_variation_per_pixel(perceptual_loss):
    layers = RELATIVE
    loss, *_ = perceptual_loss("vgg16", "objective=relative", "objective.tv_weight=0.5", *layers)
    expected = 0.5 * loop_total_variation(STYLIZED.double().numpy()).mean() / (16 * 24)
    for terms in (loss(STYLIZED, PHOTOS), loss.without_content(STYLIZED)):
        assert float(terms["tv_loss"]) == pytest.approx(expected, rel=1e-4)


def test_relative_objective_averages_over_scales(perceptual_loss):
    layers = RELATIVE
    at = {
        scales: perceptual_loss("vgg16", "objective=relative", *layers, f"objective.style_scales={scales}")[0]
        for scales in ("[1]", "[1,0.5]")
    }
    both = at["[1,0.5]"](STYLIZED, PHOTOS)
    full = at["[1]"](STYLIZED, PHOTOS)
    half = perceptual_loss(
        "vgg16", "objective=relative", *layers, "objective.style_scales=[1]", style_image=rescale(STYLE, 0.5)
    )[0](rescale(STYLIZED, 0.5), rescale(PHOTOS, 0.5))
    torch.testing.assert_close(both["style_loss"], (full["style_loss"] + half["style_loss"]) / 2)
    torch.testing.assert_close(both["content_loss"], full["content_loss"])


def test_several_pictures_are_compared_by_their_mean_gram_matrices(perceptual_loss):
    """Against loops over torchvision's own activations; a picture twice is the picture once."""
    options, pictures = ("objective=johnson2016",), [STYLE, random_images(1, 3, 28, 36, seed=5)]
    loss, objective, path = perceptual_loss("vgg16", *options, style_image=pictures)
    for layer in objective["style_layers"]:
        one, other = (loop_gram(plain_features(path, "vgg16", picture)[layer])[0] for picture in pictures)
        mean = loss.get_buffer(f"style_gram_{layer}_1")
        np.testing.assert_allclose(mean[0], (one + other) / 2, rtol=1e-4, atol=1e-7)
    once, twice = (perceptual_loss("vgg16", *options, style_image=images)[0] for images in ([STYLE], [STYLE, STYLE]))
    assert once(STYLIZED, PHOTOS) == twice(STYLIZED, PHOTOS) != loss(STYLIZED, PHOTOS)


@pytest.mark.parametrize(
    "weights, expected",
    [
        ("2", [[2, 2], [2, 2]]),
        ("[3,0.5]", [[3, 0.5], [3, 0.5]]),
        ("[[3,0.5],[0,1]]", [[3, 0.5], [0, 1]]),
    ],
)
def test_style_weights_by_layer_and_scale(perceptual_loss, weights, expected):
    """Against objectives of one layer at one size."""
    options = ("objective=relative", *RELATIVE, "objective.style_scales=[1,0.5]")
    found = perceptual_loss("vgg16", *options, f"objective.style_weights={weights}")[0](STYLIZED, PHOTOS)
    total = 0.0
    for scale, row in zip((1, 0.5), expected, strict=True):
        for layer, weight in zip(("relu1_2", "relu3_3"), row, strict=True):
            single = (*options, f"objective.style_layers=[{layer}]", "objective.style_scales=[1]")
            loss = perceptual_loss("vgg16", *single, style_image=rescale(STYLE, scale))[0]
            total += weight * float(loss(rescale(STYLIZED, scale), rescale(PHOTOS, scale))["style_loss"]) / 2
    assert float(found["style_loss"]) == pytest.approx(total, rel=1e-4)


def test_tone_is_a_term_if_it_has_a_weight(perceptual_loss):
    options = ("objective=relative", *RELATIVE)
    without = perceptual_loss("vgg16", *options)[0](STYLIZED, PHOTOS)
    terms = perceptual_loss("vgg16", *options, "objective.tone_weight=0.3")[0](STYLIZED, PHOTOS)
    torch.testing.assert_close(terms.pop("tone_loss"), 0.3 * tone_error(STYLIZED, PHOTOS).mean())
    assert terms == without


def test_a_painting_in_the_colours_of_each_photo():
    """By square roots of scipy's, in float64; colours far from black and white, which would be clamped."""
    painting = 0.45 + 0.1 * STYLE
    recolored = in_colors_of(0.3 + 0.4 * PHOTOS, painting)
    assert recolored.shape == (2, 3, 20, 16)
    for photo, found in zip(0.3 + 0.4 * PHOTOS, recolored, strict=True):
        colors, own = (np.float64(one.numpy()).reshape(3, -1) for one in (photo, painting[0]))
        root = sqrtm(np.cov(colors, bias=True)) @ inv(sqrtm(np.cov(own, bias=True)))
        expected = root @ (own - own.mean(1, keepdims=True)) + colors.mean(1, keepdims=True)
        assert 0 < expected.min() and expected.max() < 1
        np.testing.assert_allclose(found.reshape(3, -1), expected, atol=1e-4)
    grey = in_colors_of(PHOTOS, torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(grey.mean((2, 3)), PHOTOS.mean((2, 3)))


def test_each_photo_is_compared_with_the_painting_in_its_colours(perceptual_loss):
    options = ("objective=relative", *RELATIVE, "objective.style_scales=[1,0.5]")
    loss = perceptual_loss("vgg16", *options, "objective.match_colors=true")[0]
    per_image = loss.per_image(STYLIZED, PHOTOS, loss.content_features(PHOTOS))["style_loss"]
    for index, one in enumerate(PHOTOS.split(1)):
        alone = perceptual_loss("vgg16", *options, style_image=in_colors_of(one, STYLE))[0]
        expected = alone(STYLIZED[index, None], one)["style_loss"]
        assert float(per_image[index]) == pytest.approx(float(expected), rel=1e-4)
    assert float(loss(STYLIZED, PHOTOS)["style_loss"]) == pytest.approx(float(per_image.mean()), rel=1e-5)


def test_zero_where_it_should_be(perceptual_loss):
    loss, *_ = perceptual_loss("vgg16_caffe", "objective=johnson2016")
    assert float(loss(PHOTOS, PHOTOS)["content_loss"]) == 0
    assert float(loss(PHOTOS, PHOTOS)["style_loss"]) > 1
    assert float(loss(STYLE, STYLE)["style_loss"]) == 0
    assert float(loss(torch.full((1, 3, 8, 8), 0.5), PHOTOS[:1, :, :8, :8])["tv_loss"]) == 0


def test_for_content_looks_at_the_photo_once(perceptual_loss):
    loss, *_ = perceptual_loss("vgg16_caffe", "objective=johnson2016")
    expected = loss(STYLIZED, PHOTOS)
    seen = []
    hook = loss.loss_network.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    objective = loss.for_content(PHOTOS)
    for _ in range(2):
        assert objective(STYLIZED) == expected
    hook.remove()
    assert sum(images is PHOTOS for images in seen) == 1 and len(seen) == 3


def test_without_content_the_other_terms_are_the_same(perceptual_loss):
    layers = RELATIVE
    loss, *_ = perceptual_loss("vgg16", "objective=relative", "objective.tv_weight=0.01", *layers)
    terms = loss(STYLIZED, PHOTOS)
    del terms["content_loss"]
    textures = loss.without_content(STYLIZED)
    assert textures.keys() == terms.keys() and textures["tv_loss"] > 0
    for name, value in textures.items():
        torch.testing.assert_close(value, terms[name])


def test_gradient_reaches_the_image_and_nothing_else(perceptual_loss):
    loss, *_ = perceptual_loss("vgg16_caffe", "objective=johnson2016")
    stylized, photos = STYLIZED.clone().requires_grad_(), PHOTOS.clone().requires_grad_()
    for name, term in loss(stylized, photos).items():
        gradient = torch.autograd.grad(term, stylized, retain_graph=True)[0]
        assert gradient.isfinite().all() and (gradient != 0).float().mean() > 0.9, name
    sum(loss(stylized, photos).values()).backward()
    assert photos.grad is None
    assert list(loss.parameters()) == [] and list(loss.state_dict()) == []
    assert not any(buffer.requires_grad for buffer in loss.buffers())


def test_terms_are_float32_under_autocast(perceptual_loss):
    loss, *_ = perceptual_loss("vgg16_caffe", "objective=johnson2016")
    exact = loss(STYLIZED, PHOTOS)
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(STYLIZED.bfloat16(), PHOTOS)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], rtol=0.05, atol=0)


@pytest.mark.parametrize(
    "override",
    [
        "objective.style_scales=[0.5]",
        "objective.content_layers=[]",
        "objective.error=absolute",
        "objective.style_weights=[1,2]",
        "objective.style_weights=[[1,1,1,1]]",
    ],
)
def test_objectives_without_meaning_are_refused(perceptual_loss, override):
    with pytest.raises(FastStyleError, match="objective"):
        perceptual_loss("vgg16", "objective=relative", override)
