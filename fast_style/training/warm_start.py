"""Where a training starts: from scratch, from a trained style, or from the backbone, a network that has many styles."""

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from fast_style.checkpoint import find_model, is_backbone, load_backbone, load_transformer
from fast_style.errors import FastStyleError
from fast_style.losses import rescale
from fast_style.networks.loss_network import LossNetwork, load_loss_network
from fast_style.networks.transformer_net import TransformerNet

SHIPPED = Path(str(files("fast_style") / "assets" / "backbone.safetensors"))
STATISTICS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STATISTICS_SCALES = (1, 0.5)


def initial_state(init_from: str | None, model: dict, style_image: Tensor) -> dict[str, Tensor] | None:
    """State of a TransformerNet(**model) to start learning a style image (1, 3, H, W) in [0, 1] from.

    None      scratch: there is none
    auto      the shipped backbone if it has this model, else scratch
    a path    a backbone, a release file, the folder of a run, or a .ckpt
    Raises FastStyleError for a file that is none of these or does not fit the model.
    """
    if init_from is None:
        return None
    path = SHIPPED if init_from == "auto" else Path(init_from)
    if not path.exists():
        raise FastStyleError(f"init_from={path}: no such file; init_from=null starts from scratch")
    path = find_model(path, "init_from")
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


def style_statistics(loss_network: LossNetwork, style_images: Tensor) -> Tensor:
    """Means and standard deviations of every feature map, at two sizes: (B, 3, H, W) in [0, 1] -> (B, S), float32."""
    statistics = []
    for scale in STATISTICS_SCALES:
        for _, maps in sorted(loss_network(rescale(style_images, scale), STATISTICS_LAYERS).items()):
            maps = maps.float().flatten(2)
            statistics += [maps.mean(2), maps.std(2, correction=0)]
    return torch.cat(statistics, 1)
