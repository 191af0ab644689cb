"""Stylise or enlarge images: python infer.py ckpt=model.safetensors input=photo.jpg; draw textures: ckpt=... count=4;
paint in a style at once: python infer.py style.image=painting.jpg input=photo.jpg"""

import sys

from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style.checkpoint import fingerprint, import_modules
from fast_style.commands import run
from fast_style.errors import FastStyleError
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision, why_not_compiled
from fast_style.inference.files import MAKER, write_pictures
from fast_style.inference.first_guess import load_or_predict, take_image
from fast_style.inference.painters import check_meaning
from fast_style.keys import Infer, check_keys
from fast_style.networks.fast_layers import accelerate


def infer(cfg: DictConfig) -> None:
    """Stylise, or draw textures, and report. Raises FastStyleError, after all others, for files that failed."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, Infer)
    image = take_image(config)
    import_modules(config["modules"])
    ckpts = config["ckpt"] if isinstance(config["ckpt"], list) else [config["ckpt"]]
    found = [load_or_predict(ckpt, config, image) for ckpt in ckpts]
    networks, notes = [(network, own) for network, own, _ in found], [note for _, _, note in found if note]
    for ckpt, (network, _) in zip(ckpts, networks, strict=True):
        check_meaning(config, network, ckpt or "a first guess")
    device = pick_device(config["device"])
    if device.type == "cpu":
        keep_freed_memory()
    precision = pick_precision(config["precision"], device)
    makers = [f"{MAKER} {fingerprint(network)}" for network, _ in networks]
    if config["compile"] and (reason := why_not_compiled(device)):
        raise FastStyleError(f"compile=true fails here: {reason}")

    def ready(one: nn.Module) -> nn.Module:
        accelerate(one)
        if config["compile"]:
            one.compile()
        return one.to(device)

    written, skipped, failures = write_pictures(config, networks, makers, ready, precision)
    done = f", skipped {len(skipped)} that were done before" if skipped else ""
    print(f"wrote {written[0] if len(written) == 1 else f'{len(written)} images'}{done}")
    for note in notes if written else []:
        print(f"\n{note}")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    if failures:
        raise FastStyleError(
            f"{len(failures)} of {len(failures) + len(written) + len(skipped)} images failed, as listed above"
        )


def main() -> None:
    run("infer", infer)
