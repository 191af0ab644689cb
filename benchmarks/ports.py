"""The way of the well-known ports of Johnson et al. 2016, to compare with: eager float32, NCHW, one layer at a time.

Their network is the paper's with instance norm, reflection padding and nearest-neighbour upsampling; their loss sends
the whole VGG-16 up to relu4_3 over the photos and over the stylised images.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS = {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22}  # of torchvision's VGG-16


class PortsResidualBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(*conv(channels, channels, 3), nn.ReLU(), *conv(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(kernel_size // 2),
        nn.Conv2d(in_channels, out_channels, kernel_size, stride),
        nn.InstanceNorm2d(out_channels, affine=True),
    ]


def ports_transformer(channels: Sequence[int] = (32, 64, 128), residual_blocks: int = 5, **_) -> nn.Sequential:
    """Their network; the parameters come in the order of a TransformerNet's of the same channels and blocks."""
    full, half, quarter = channels
    return nn.Sequential(
        *conv(3, full, 9), nn.ReLU(),
        *conv(full, half, 3, 2), nn.ReLU(),
        *conv(half, quarter, 3, 2), nn.ReLU(),
        *(PortsResidualBlock(quarter) for _ in range(residual_blocks)),
        nn.Upsample(scale_factor=2), *conv(quarter, half, 3), nn.ReLU(),
        nn.Upsample(scale_factor=2), *conv(half, full, 3), nn.ReLU(),
        *conv(full, 3, 9)[:2],
    )  # fmt: skip


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the parameters of `source`, in order."""
    for given, own in zip(source.parameters(), target.parameters(), strict=True):
        own.data.copy_(given.data)


def ports_loss(features: nn.Sequential, stylized: Tensor, photos: Tensor, style_grams: dict[str, Tensor]) -> Tensor:
    """Content at relu2_2 and Gram matrices at four layers; `features` are torchvision's layers of VGG-16."""
    outputs = []
    for images in (stylized, photos):
        mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        x, layers = (images - mean) / std, {}
        for index, layer in enumerate(features[: LAYERS["relu4_3"] + 1]):
            x = layer(x)
            layers |= {name: x for name, wanted in LAYERS.items() if wanted == index}
        outputs.append(layers)
    content = F.mse_loss(outputs[0]["relu2_2"], outputs[1]["relu2_2"])
    grams = {name: ports_gram(maps) for name, maps in outputs[0].items()}
    return 1e5 * content + 1e10 * sum(F.mse_loss(gram, style_grams[name]) for name, gram in grams.items())


def ports_gram(maps: Tensor) -> Tensor:
    batch, channels, height, width = maps.shape
    flat = maps.view(batch, channels, height * width)
    return flat.bmm(flat.transpose(1, 2)) / (channels * height * width)


def no_style(photos: Tensor) -> dict[str, Tensor]:
    """Gram matrices of zeros, which cost as much as a style's."""
    channels = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512}
    return {name: photos.new_zeros(len(photos), count, count) for name, count in channels.items()}


def random_vgg16() -> nn.Sequential:
    """The layers of torchvision's VGG-16 with random weights, which cost as much as trained ones."""
    features = make_layers(cfgs["D"]).requires_grad_(False)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return features


class PortsTraining:
    """Their training step, on photos (B, 3, H, W)."""

    def __init__(self, photos: Tensor, features: nn.Sequential):
        self.photos, self.features = photos, features
        self.transformer = ports_transformer().to(photos.device)
        self.optimizer = torch.optim.Adam(self.transformer.parameters(), lr=1e-3)
        self.style_grams = no_style(photos)

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = ports_loss(self.features, self.transformer(self.photos), self.photos, self.style_grams)
        loss.backward()
        self.optimizer.step()
        return loss.item()
