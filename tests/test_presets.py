"""The published recipes: each one's loss against its own project's formula and units, and what else it states."""

import numpy as np
import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf

from fast_style.losses import load_perceptual_loss, scale_mismatch
from fast_style.training.fit import fit

# The channels of VGG-16 matter to magenta, which divides its Gram matrices by H W alone; others are content with fewer.
VGG16, VGG19, WHOLE = "tiny_vgg16", "tiny_vgg19", "vgg16"
CONVOLUTIONS = {VGG16: (2, 2, 3, 3, 3), VGG19: (2, 2, 4, 4, 4), WHOLE: (2, 2, 3, 3, 3)}
PAPERS = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]


def rgb_255(images):
    return 255 * images


def caffe(images):
    """RGB from 0 to 255 minus the mean; torchvision's weights of Caffe's VGG-16 take it in this order."""
    return 255 * images - torch.tensor([123.68, 116.779, 103.939], dtype=torch.float64)[:, None, None]


def caffe_bgr(images):
    return caffe(images).flip(1)


def imagenet(images):
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64)[..., None, None]
    return (images - mean) / deviation


def mean_squares(one, other):
    return np.square(one - other).mean()


def gram(features, divisor):
    flat = features.reshape(*features.shape[:2], -1)
    return np.einsum("bip,bjp->bij", flat, flat) / divisor(*features.shape[1:])


def chw(channels, height, width):
    return channels * height * width


def hw(channels, height, width):
    return height * width


def summed_squares(images):
    """Of neighbours, for every image."""
    down, across = np.diff(images, axis=2), np.diff(images, axis=3)
    return np.square(down).sum((1, 2, 3)) + np.square(across).sum((1, 2, 3))


def mean_variation(images):
    return np.square(np.diff(images, axis=2)).mean() + np.square(np.diff(images, axis=3)).mean()


class Recipe:
    """What a project minimises: weights and layers as it states them, on its own scale."""

    def __init__(self, vgg, prepare, content, style, content_weight, style_weight, divisor=chw, variation=None):
        self.vgg, self.prepare, self.content, self.style = vgg, prepare, content, style
        self.weights, self.divisor, self.variation = (content_weight, style_weight), divisor, variation

    def features(self, network, images):
        """Activations by layer, from torchvision's own modules."""
        x, names = self.prepare(images.double()), iter(self.names())
        found = {}
        for module in network.double():
            x = module(x)
            if isinstance(module, torch.nn.ReLU):
                found[next(names)] = x.numpy().copy()
            if found.keys() >= {self.content, *self.style}:
                return found

    def names(self):
        for block, count in enumerate(CONVOLUTIONS[self.vgg], 1):
            yield from (f"relu{block}_{layer}" for layer in range(1, count + 1))

    @torch.no_grad()
    def terms(self, network, stylized, photos, painting):
        ours, theirs, style = (self.features(network, images) for images in (stylized, photos, painting))
        grams = {layer: (gram(ours[layer], self.divisor), gram(style[layer], self.divisor)) for layer in self.style}
        return {
            "content_loss": self.weights[0] * mean_squares(ours[self.content], theirs[self.content]),
            "style_loss": self.weights[1] * sum(mean_squares(*pair) for pair in grams.values()),
            "tv_loss": self.variation(rgb_255(stylized.double()).numpy()) if self.variation else 0,
        }


RECIPES = {
    "johnson2016": Recipe(VGG16, caffe, "relu2_2", PAPERS, 1, 5, variation=lambda x: 1e-6 * summed_squares(x).mean()),
    "johnson_lua": Recipe(VGG16, caffe, "relu3_3", PAPERS, 1, 5, variation=lambda x: 1e-6 * summed_squares(x).mean()),
    "pytorch_examples": Recipe(VGG16, imagenet, "relu2_2", PAPERS, 1e5, 1e10),
    "lengstrom": Recipe(
        VGG19, caffe_bgr, "relu4_2", [f"relu{block}_1" for block in range(1, 6)], 7.5, 100,
        variation=lambda x: 200 * mean_variation(x),
    ),
    "ulyanov2017": Recipe(VGG19, caffe_bgr, "relu4_2", [f"relu{block}_2" for block in range(1, 5)], 1, 10),
    "magenta": Recipe(WHOLE, caffe, "relu3_3", PAPERS, 1, 1e-4, hw),
}  # fmt: skip


@pytest.fixture
def preset(compose_config):
    """preset(name, *overrides) -> the config of an experiment as plain data."""

    def build(name, *overrides):
        options = ("data.root=/photos", "run_dir=.", *overrides)
        return OmegaConf.to_container(compose_config("train", f"experiment={name}", *options), resolve=True)

    return build


@pytest.mark.parametrize("name", RECIPES)
def test_loss_is_the_projects_own(preset, vgg, name):
    recipe = RECIPES[name]
    network, path = vgg(recipe.vgg)
    config = preset(name, f"loss_network.weights={path}")
    # Lengstrom's variation is a mean, which is our sum at the size of its recipe.
    side = config["image_size"] if name == "lengstrom" else 16
    generator = torch.Generator().manual_seed(0)
    stylized, photos = torch.rand(2, 1 if name == "lengstrom" else 2, 3, side, side, generator=generator)
    painting = torch.rand(1, 3, 40, 36, generator=generator)
    found = load_perceptual_loss(config["loss_network"], config["objective"], [painting])(stylized, photos)
    expected = recipe.terms(network, stylized, photos, painting)
    network.float()
    assert found.keys() == expected.keys()
    for term, value in expected.items():
        assert float(found[term]) == pytest.approx(value, rel=1e-4), term
    assert expected["content_loss"] > 0 < expected["style_loss"]


def test_gordics_recipe_is_that_of_pytorch_examples(preset):
    """gordicaleksa's states the same in other units: 1 : 4e5, with the mean over four layers instead of their sum."""
    objective = preset("pytorch_examples")["objective"]
    assert objective["style_weight"] / objective["content_weight"] == 4e5 / len(objective["style_layers"])


STATED = {
    # steps, batch, crops, rate, schedule, norm, upsampling, output
    "johnson2016": (40_000, 4, 256, 1e-3, "constant", "batch", "transposed", "tanh"),
    "johnson_lua": (40_000, 4, 256, 1e-3, "constant", "instance", "transposed", "tanh150"),
    "pytorch_examples": (41_000, 4, 256, 1e-3, "constant", "instance", "nearest", "linear"),
    "lengstrom": (41_000, 4, 256, 1e-3, "constant", "instance", "transposed", "tanh150"),
    "ulyanov2017": (50_000, 4, 512, 1e-2, "stairs", "instance", "transposed", "linear"),
    "magenta": (40_000, 16, 256, 1e-3, "constant", "instance", "nearest", "tanh"),
}
STYLE_SIZES = {"johnson2016": 256, "johnson_lua": 256, "ulyanov2017": 600}


@pytest.mark.parametrize("name", STATED)
def test_what_else_a_recipe_states(preset, name):
    config = preset(name, "loss_network.weights=w.pth")
    model, optimizer = config["model"], config["optimizer"]
    training = (config["max_steps"], config["batch_size"], config["image_size"], optimizer["lr"], optimizer["schedule"])
    assert (*training, model["norm"], model["upsampling"], model["output"]) == STATED[name]
    assert model["channels"] == [32, 64, 128] and model["kernel_sizes"] == [9, 9] and not model["noise"]
    assert not model["skips"] and optimizer["gradient_clip"] is None
    assert optimizer["warmup_steps"] == 0 and config["init_from"] is None and config["precision"] == "32-true"
    assert config["style"]["style_size"] == STYLE_SIZES.get(name, 384), "or what is ours"


def test_presets_belong_to_their_loss_networks(preset):
    for name in RECIPES:
        config = preset(name, "loss_network.weights=w.pth")
        assert scale_mismatch(config["loss_network"]["name"], config["objective"]) is None
        others = (
            {"vgg16", "vgg19", "distilled"}
            if name != "pytorch_examples"
            else {"vgg16_caffe", "vgg16_lowrank", "vgg19_caffe"}
        )
        for other in others:
            assert f"loss_network={other}: " in scale_mismatch(other, config["objective"])


@pytest.mark.parametrize("change", [{"error": "relative"}, {"content_weight": 0}, {"style_weight": 0}], ids=str)
def test_objectives_without_a_scale_suit_every_loss_network(preset, change):
    assert scale_mismatch("distilled", preset("johnson2016")["objective"] | change) is None


def test_a_training_says_that_they_do_not_belong_together(compose_config, capsys, tmp_path):
    layers = ("objective.content_layers=[relu2_1]", "objective.style_layers=[relu1_1]")
    options = (
        *TINY_RUN,
        "max_steps=1",
        "loss_network=distilled",
        "objective=johnson2016",
        *layers,
        f"run_dir={tmp_path}",
    )
    fit(compose_config("train", *options))
    note = "loss_network=distilled: absolute errors with style : content weights of 5 : 1 are made for vgg16_caffe or"
    assert capsys.readouterr().out.count(note) == 1
