"""Backbone: one transformer that has seen many styles, where the training of a new one starts.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style" (ICLR 2017): one network paints every style, and
only the scales and shifts of its instance norms say which.
"""

import copy
import json
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call

from fast_style.checkpoint import load_transformer
from fast_style.errors import FastStyleError
from fast_style.losses import rescale
from fast_style.networks.loss_network import LossNetwork, load_loss_network
from fast_style.networks.transformer_net import TransformerNet

FORMAT = "fast_style backbone 2"
SHIPPED = Path(str(files("fast_style") / "assets" / "backbone.safetensors"))
STATISTICS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STATISTICS_SCALES = (1, 0.5)


def style_statistics(loss_network: LossNetwork, style_images: Tensor) -> Tensor:
    """Means and standard deviations of every feature map, at two sizes: (B, 3, H, W) in [0, 1] -> (B, S), float32."""
    statistics = []
    for scale in STATISTICS_SCALES:
        for _, maps in sorted(loss_network(rescale(style_images, scale), STATISTICS_LAYERS).items()):
            maps = maps.float().flatten(2)
            statistics += [maps.mean(2), maps.std(2, correction=0)]
    return torch.cat(statistics, 1)


class Backbone(nn.Module):
    """A TransformerNet and, for each of its styles, what makes the style.

    These are offsets to the scales and shifts of the instance norms and, departing from Dumoulin et al. 2017, to the
    last convolution: it holds the palette, and shared by all styles it fell into shades of one colour.

    model       arguments of the TransformerNet; its norm is instance
    statistics  of the styles' pictures, (N, S): a picture that is none of them begins as the one it is most like
    """

    def __init__(self, model: dict, statistics: Tensor):
        super().__init__()
        self.transformer = TransformerNet(**model)
        modules = dict(self.transformer.named_modules())
        norms = [name for name, module in modules.items() if isinstance(module, nn.InstanceNorm2d)]
        last = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)][-1]
        own = dict(self.transformer.named_parameters())
        names = [f"{name}.{kind}" for name in [*norms, last] for kind in ("weight", "bias")]
        self.shapes = {name: own[name].shape for name in names}
        self.offsets = nn.Parameter(torch.zeros(len(statistics), sum(shape.numel() for shape in self.shapes.values())))
        self.register_buffer("statistics", statistics.clone())

    def style_parameters(self, style: int) -> dict[str, Tensor]:
        """What makes one of the styles: parameters of the transformer by name."""
        own = dict(self.transformer.named_parameters())
        sizes = [shape.numel() for shape in self.shapes.values()]
        offsets = self.offsets[style].split(sizes)
        return {
            name: own[name] + offset.view(shape)
            for (name, shape), offset in zip(self.shapes.items(), offsets, strict=True)
        }

    def forward(self, content_images: Tensor, styles: Tensor) -> Tensor:
        """Stylise every image (B, 3, H, W) in [0, 1] in a style of its own, (B,) integers."""
        pairs = zip(styles.tolist(), content_images[:, None], strict=True)
        return torch.cat(
            [functional_call(self.transformer, self.style_parameters(style), image) for style, image in pairs]
        )

    def replica(self) -> "Backbone":
        """The same parameters in modules of its own, for another thread: a style is put into the modules."""
        return copy.deepcopy(self, {id(tensor): tensor for tensor in [*self.parameters(), *self.buffers()]})

    def most_like(self, statistics: Tensor) -> int:
        """The style whose picture has the most similar statistics to those of a picture, (1, S)."""
        deviations = self.statistics.std(0, correction=0).clamp_min(1e-4)
        return int(((self.statistics - statistics) / deviations).square().sum(1).argmin())

    @torch.no_grad()
    def transformer_for(self, style: int) -> dict[str, Tensor]:
        """State of an ordinary TransformerNet for one of the styles."""
        return self.transformer.state_dict() | self.style_parameters(style)


def load_backbone(path: str | Path) -> tuple[Backbone, dict]:
    """The backbone of a file of scripts/train_backbone.py, in float32, and the file's metadata, which holds its
    `model`, the names of its `styles` and its `training`. Raises FastStyleError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = {key: json.loads(file.metadata()[key]) for key in ("model", "styles", "training")}
        state_dict = {name: tensor.float() for name, tensor in load_file(path).items()}
        backbone = Backbone(metadata["model"], state_dict["statistics"])
        backbone.load_state_dict(state_dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FastStyleError(f"cannot read the backbone {path}: {error}") from error
    return backbone.eval(), metadata


def initial_state(init_from: str | None, model: dict, style_image: Tensor) -> dict[str, Tensor] | None:
    """State of a TransformerNet(**model) to start learning a style image (1, 3, H, W) in [0, 1] from.

    None      scratch: there is none
    auto      the shipped backbone if it has this model, else scratch
    a path    a backbone, a release file or a .ckpt
    Raises FastStyleError for a file that is none of these or does not fit the model.
    """
    if init_from is None:
        return None
    path = SHIPPED if init_from == "auto" else Path(init_from)
    if not path.is_file():
        raise FastStyleError(f"init_from={path}: no such file; init_from=null starts from scratch")
    another = FastStyleError(f"init_from={path} has another network than model=: give its model, or init_from=null")
    if is_backbone(path):
        backbone, metadata = load_backbone(path)
        if metadata["model"] != model:
            if init_from == "auto":
                return None
            raise another
        with torch.no_grad():
            statistics = style_statistics(load_loss_network("distilled", STATISTICS_LAYERS), style_image)
        state_dict = backbone.transformer_for(backbone.most_like(statistics))
    else:
        state_dict = load_transformer(path, "init_from")[0].state_dict()
    try:
        TransformerNet(**model).load_state_dict(state_dict)
    except RuntimeError as error:
        raise another from error
    return state_dict


def is_backbone(path: Path) -> bool:
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, SafetensorError) as error:
        raise FastStyleError(f"cannot read {path}: {error}") from error
