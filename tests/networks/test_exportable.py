"""What is exported computes what the network does, whatever its layers and the size of its images."""

import copy

import pytest
import torch

from fast_style.networks.exportable import exportable, in_steps
from fast_style.networks.transformer_net import InstanceNorm, Noise, TransformerNet, WeightNormConv2d

MODELS = {
    "slim": {"kernel_sizes": (9, 3), "upsampling": "bilinear", "noise": True, "skips": True, "margin": 10},
    "medium": {
        "kernel_sizes": (9, 3),
        "upsampling": "bilinear",
        "noise": "fine",
        "coarse_blocks": 2,
        "weight_norm": True,
    },
    "johnson": {},
    "paper": {"norm": "batch", "upsampling": "transposed", "padding": "input", "output": "tanh"},
    "shallow": {"channels": (4, 6), "norm": "none", "output": "tanh150"},
}


def random_network(**model):
    torch.manual_seed(0)
    network = TransformerNet(**{"channels": (4, 6, 8), "residual_blocks": 1} | model)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data.normal_(0.3, 0.1)
    return network.eval()


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_it_is_the_network(model):
    network = random_network(**model)
    exported = exportable(copy.deepcopy(network))
    assert type(exported) is not TransformerNet and exported.state_dict().keys() == network.state_dict().keys()
    assert not any(isinstance(module, WeightNormConv2d) for module in exported.modules())
    for ours, theirs in zip(network.modules(), exported.modules(), strict=True):
        if isinstance(ours, Noise):
            assert 0 < (ours.tile - theirs.tile).abs().max() <= 2**-13
            ours.tile = theirs.tile
    for size in ((1, 1), (2, 9), (7, 4), (33, 50)):
        images = torch.rand(2, 3, *size)
        torch.testing.assert_close(exported(images), network(images), rtol=0, atol=1e-6)


@torch.no_grad()
def test_convolutions_in_float16_paint_nearly_the_same():
    network, images = random_network(**MODELS["slim"]), torch.rand(1, 3, 33, 50)
    exported = exportable(copy.deepcopy(network), "float16")
    assert exported(images).dtype == torch.float32
    difference = (exported(images) - network(images)).abs()
    assert 1e-5 < difference.max() < 0.02 and difference.mean() < 0.002


@torch.no_grad()
def test_float16_is_of_every_convolution_and_constants_keep_half_precision():
    """Of a network of the user's own, and of kernels with weight norm, whose files hold 16 bits."""
    own, images = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3)), torch.rand(1, 3, 9, 9)
    expected = torch.nn.functional.conv2d(images.half(), own[0].weight.half(), own[0].bias.half()).float()
    assert torch.equal(exportable(own, "float16")(images), expected)

    network = random_network(**MODELS["medium"]).half().float()
    before = [module.kernels for module in network.modules() if isinstance(module, WeightNormConv2d)]
    after = [dict(exportable(network).named_parameters())[name] for name in ("layers.9.body.3.0.weight",)]
    assert torch.equal(after[0], before[0].half().float()) and not torch.equal(after[0], before[0])


@torch.no_grad()
def test_norms_as_means():
    norm, x = InstanceNorm(4).double(), 3 * torch.rand(2, 4, 7, 5, dtype=torch.double) - 9
    norm.weight.copy_(torch.rand(4)), norm.bias.copy_(torch.rand(4))
    expected = norm(x)
    exported = exportable(norm, moments=True)
    assert type(exported) is not InstanceNorm
    torch.testing.assert_close(exported(x), expected, rtol=0, atol=1e-12)


def test_steps_of_noise():
    tile = torch.tensor([-5.0, -0.049, 0.0, 0.02, 3.9])
    assert in_steps(tile, torch.int8, 2**-5).tolist() == [-4.0, -0.0625, 0.0, 0.03125, 3.90625]
