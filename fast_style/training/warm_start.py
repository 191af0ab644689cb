"""Where a training starts: from scratch, a trained style, the backbone that ships, or a first guess."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from fast_style.checkpoint import find_model, load_network, read_metadata, read_record, section_of, task_of
from fast_style.errors import FastStyleError
from fast_style.losses import rescale
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.loss_network import LossNetwork, load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet
from fast_style.training.exchange_norms import exchange_norms

ASSETS = Path(str(files("fast_style") / "assets"))
SHIPPED, FIRST_GUESS = ASSETS / "backbone.safetensors", ASSETS / "any_style.safetensors"
# A painting as far as this from all styles of the backbone is none of them: they are 0.8 and more from each other, and
# most of them less than 0.4 from themselves at another size of strokes (woodcut 1.2).
UNKNOWN = 0.5
ANOTHER = "init_from={init_from} has another network than model=: give its model, or init_from=null"
STATISTICS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STATISTICS_SCALES = (1, 0.5)


def initial_state(init_from: str | None, model: dict, style_images: Sequence[Tensor]) -> dict[str, Tensor] | None:
    """State of a TransformerNet(**model) to start learning the style of pictures (1, 3, H, W) in [0, 1] from.

    None      scratch: there is none
    auto      if it has this model the shipped backbone, which has learnt some paintings, or for others the network of
              first guesses; else scratch
    a path    a release file, of one style, of several or of any, the folder of a run, or a .ckpt
    Raises FastStyleError for a file that is none of these or does not fit the model.
    """
    start = starting_network(init_from, model)
    if start is None:
        return None
    network, has = start
    if isinstance(network, MultiStyleNet | AnyStyleNet):
        statistics = style_statistics(load_loss_network("distilled", STATISTICS_LAYERS), style_images)
        # The most similar style of the backbone would leave its motifs in a painting that has none of them.
        if init_from == "auto" and network.most_like(statistics)[1] > UNKNOWN:
            network, has = load_network(FIRST_GUESS, "init_from")[0], read_metadata(FIRST_GUESS)["model"]
        if isinstance(network, AnyStyleNet):
            network = network.predict(["first guess"], statistics)
        network = network.transformer_for(network.most_like(statistics)[0])
    return fitting(with_norms_of(network, has, model, init_from).state_dict(), model, init_from)


def start_styles(network: MultiStyleNet, init_from: str | None) -> None:
    """Put what init_from= means into a network of several styles.

    A style of the same name goes on from what it was, another begins as the one that it is most like, or as what a
    network of any style predicts; so does the identity, or it begins as what the styles share. Raises FastStyleError as
    above.
    """
    start = starting_network(init_from, network.model)
    if start is None:
        return
    earlier = with_norms_of(*start, network.model, init_from)
    if isinstance(earlier, AnyStyleNet):
        earlier = earlier.predict(network.names, network.statistics)
    if not isinstance(earlier, MultiStyleNet):
        network.transformer.load_state_dict(fitting(earlier.state_dict(), network.model, init_from))
        return
    network.transformer.load_state_dict(fitting(earlier.transformer.state_dict(), network.model, init_from))
    with torch.no_grad():
        offsets = network.offsets_of(earlier, earlier.offsets)
        for index, name in enumerate(network.names):
            alike = name if name in earlier.names else earlier.most_like(network.statistics[index, None])[0]
            network.offsets[index] = offsets[earlier.names.index(alike)]
        if network.identity and earlier.identity:
            network.offsets[-1] = offsets[-1]


def start_any_style(network: AnyStyleNet, init_from: str | None) -> bool:
    """Put what init_from= means into a network of any style; whether that has learnt to predict styles, too.

    Of one that has not, a style begins as the mean of those there are. Raises FastStyleError as above.
    """
    start = starting_network(init_from, network.shared.model)
    if start is None:
        return False
    earlier = with_norms_of(*start, network.shared.model, init_from)
    if isinstance(earlier, AnyStyleNet):
        transformer = fitting(earlier.shared.transformer.state_dict(), network.shared.model, init_from)
        network.shared.transformer.load_state_dict(transformer)
        predictor = earlier.predictor.state_dict()
        with torch.no_grad():
            network.shared.offsets.copy_(network.shared.offsets_of(earlier.shared, earlier.shared.offsets))
            for name in ("offsets.weight", "offsets.bias"):
                rows = predictor[name].movedim(0, -1)
                predictor[name] = network.shared.offsets_of(earlier.shared, rows).movedim(-1, 0)
        network.predictor.load_state_dict(predictor)
        return True
    several = isinstance(earlier, MultiStyleNet)
    state_dict = (earlier.transformer if several else earlier).state_dict()
    network.shared.transformer.load_state_dict(fitting(state_dict, network.shared.model, init_from))
    if several:
        with torch.no_grad():
            offsets = network.shared.offsets_of(earlier, earlier.offsets)
            network.predictor.offsets.bias.copy_(offsets[: len(earlier.names)].mean(0))
            if earlier.identity:
                network.shared.offsets.copy_(offsets[-1:])
    return False


def starting_network(init_from: str | None, model: dict) -> tuple[nn.Module, dict] | None:
    """The network of init_from= and what its own model= is, if there is one to start from."""
    if init_from is None:
        return None
    path = SHIPPED if init_from == "auto" else Path(init_from)
    if not path.exists():
        raise FastStyleError(f"init_from={path}: no such file; init_from=null starts from scratch")
    path = find_model(path, "init_from")
    record = read_record(path)
    if section_of(record) != "model":
        raise FastStyleError(f"init_from={path} is of task={task_of(record)}: give a model that paints photos")
    # The margin is of pictures, not of training; noise in residual blocks and coarse blocks can be left out, and norms
    # exchanged.
    has = {"coarse_blocks": 0} | record["model"] | {"margin": 0, "noise": True, "weight_norm": False}
    asked = model | {"margin": 0, "noise": bool(model.get("noise")), "weight_norm": False}
    asked["coarse_blocks"] = model.get("coarse_blocks") or has["coarse_blocks"]
    if init_from == "auto" and has != asked:
        return None
    return load_network(path, "init_from")[0], record["model"]


def with_norms_of(network: nn.Module, has: dict, model: dict, init_from: str) -> nn.Module:
    """A network of one model with weight norm if and only if another has it. Raises FastStyleError if it cannot be."""
    defaults = {"norm": "instance", "upsampling": "nearest", "weight_norm": False}
    before, asked = (defaults | one for one in (has, model))
    if before["weight_norm"] == asked["weight_norm"]:
        return network
    if any(one["norm"] != "instance" or one["upsampling"] == "transposed" for one in (before, asked)):
        raise FastStyleError(ANOTHER.format(init_from=init_from))
    return exchange_norms(network, has | {"weight_norm": asked["weight_norm"]})


def fitting(state_dict: dict[str, Tensor], model: dict, init_from: str) -> dict[str, Tensor]:
    """The state itself; skips, noise in residual blocks and coarse blocks begin as nothing where only the model has
    them, and such noise and blocks are left out where only the state has them.

    Raises FastStyleError if it is not that of the model.
    """
    try:
        network = TransformerNet(**model)
        own = network.state_dict()
        added = {name: value for name, value in own.items() if name.startswith("skips.") or is_optional(name)}
        kept = {name: value for name, value in state_dict.items() if name in own or not is_optional(name)}
        state_dict = added | kept
        network.load_state_dict(state_dict)
    except (RuntimeError, TypeError) as error:
        raise FastStyleError(ANOTHER.format(init_from=init_from)) from error
    return state_dict


def is_optional(name: str) -> bool:
    """Whether a parameter of a TransformerNet is the strength of the noise in a residual block, or of coarse blocks."""
    return name.endswith(".noise.weight") or name.startswith("coarse.")


def style_statistics(loss_network: LossNetwork, style_images: Sequence[Tensor]) -> Tensor:
    """Means and standard deviations of every feature map at two sizes, of several pictures their means.

    Pictures (1, 3, H, W) in [0, 1] -> (1, S), float32.
    """
    rows = []
    for style_image in style_images:
        statistics = []
        for scale in STATISTICS_SCALES:
            for _, maps in sorted(loss_network(rescale(style_image, scale), STATISTICS_LAYERS).items()):
                maps = maps.float().flatten(2)
                statistics += [maps.mean(2), maps.std(2, correction=0)]
        rows.append(torch.cat(statistics, 1))
    return torch.cat(rows).mean(0, keepdim=True)
