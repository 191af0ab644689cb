"""Train a style: python train.py style=starry_night"""

import logging
import sys
import time
import warnings
from pathlib import Path

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from fast_style import FastStyleError, check_choice
from fast_style.callbacks import Budget, PreviewGrid, ProgressBar, ResumePoint, Throughput, parse_duration
from fast_style.checkpoint import check_resumable, save_release
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.images import read_image
from fast_style.sample_photos import sample_photo
from fast_style.sampling import Variant, sample_files
from fast_style.style_transfer import StyleTransfer
from fast_style.styles import enlargement
from fast_style.stylize import stylize_files
from fast_style.texture_generator import TextureGenerator
from fast_style.texture_network import NoContent, TextureNetwork
from fast_style.transformer_net import TransformerNet

TASKS = {"style_transfer": StyleTransfer, "texture": TextureNetwork, "diverse_style_transfer": TextureNetwork}
DEFAULT_BUDGET = "5min"
PICTURE_SIZE = (512, 512)  # of a texture
SAMPLE_PHOTO = "chelsea.png"

# Hints of Lightning that do not apply here: among them, that a run cannot be resumed within an epoch.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
for hint in (".*LeafSpec.*", ".*not resumable.*", ".*smaller than the logging interval.*"):
    warnings.filterwarnings("ignore", hint)


def check(config: dict) -> None:
    """Refuse what would only fail, or be ignored, after the training."""
    for key in ("batch_size", "image_size", "preview_every", "checkpoint_every"):
        if not isinstance(config[key], int) or config[key] < 1:
            raise FastStyleError(f"{key}={config[key]}: must be a whole number, at least 1")
    if not isinstance(config["seed"], int) or config["seed"] < 0:
        raise FastStyleError(f"seed={config['seed']}: must be a whole number, at least 0")
    if config["budget"] is not None:
        parse_duration(config["budget"])
        if config["max_steps"] != -1:
            raise FastStyleError("give budget= or max_steps=, not both (for the budget of an experiment: max_steps=-1)")
    elif config["max_steps"] == -1:
        raise FastStyleError("give a budget= such as 5min, or max_steps=")
    elif not isinstance(config["max_steps"], int) or config["max_steps"] < 1:
        raise FastStyleError(f"max_steps={config['max_steps']}: must be a whole number, at least 1")
    check_choice("precision", config["precision"], ("auto", "32-true", "bf16-mixed", "16-mixed"))
    if config["ckpt_path"]:
        check_resumable(config["ckpt_path"], config)
    if config["task"] != "style_transfer" and config["init_from"] not in (None, "auto"):
        raise FastStyleError(f"init_from={config['init_from']}: task={config['task']} starts from scratch")
    check_choice("compile", config["compile"], ("auto", True, False))
    if config["task"] != "style_transfer" and config["compile"] is True:
        raise FastStyleError(f"compile=true: task={config['task']} is not compiled")
    check_choice("data_parallel", config["data_parallel"], (True, False))
    if config["diversity_weight"] < 0:
        raise FastStyleError(f"diversity_weight={config['diversity_weight']}: must be at least 0")
    if config["photo"] and config["task"] == "texture":
        raise FastStyleError(f"photo={config['photo']}: task=texture has no photo to stylise")
    if config["task"] != "texture":
        read_image(photo_to_stylize(config))


def photo_to_stylize(config: dict) -> Path:
    return Path(config["photo"]) if config["photo"] else sample_photo(SAMPLE_PHOTO)


def speed_up(module: StyleTransfer | TextureNetwork, config: dict, device: torch.device) -> None:
    """Make training steps faster on this device, by what changes results no more than another order of sums does."""
    if device.type == "cpu":
        keep_freed_memory()
    if config["channels_last"]:
        module.to(memory_format=torch.channels_last)
    if config["task"] != "style_transfer":
        return
    # Batch norm mixes the images of a batch; the threads of several processes would be in each other's way.
    can_share = device.type == "cpu" and config["model"]["norm"] == "instance" and config["trainer"]["devices"] == 1
    cores = torch.get_num_threads()
    if device.type == "cuda" if config["compile"] == "auto" else config["compile"]:
        module.compile_training()
    elif config["data_parallel"] and can_share and cores > 1 and config["batch_size"] % cores == 0:
        module.share_batches(cores)


def train(cfg: DictConfig) -> float:
    """Train, write the release file and a stylised picture; the held-out loss."""
    check_choice("task", cfg.task, TASKS)
    if missing := OmegaConf.missing_keys(cfg):
        raise FastStyleError(f"give {'=... and '.join(sorted(missing))}=... (python train.py --help shows all keys)")
    config = OmegaConf.to_container(cfg, resolve=True)
    if config["budget"] == "auto":
        config["budget"] = DEFAULT_BUDGET if config["max_steps"] == -1 else None
    check(config)
    run_dir = Path(config["run_dir"])
    pl.seed_everything(config["seed"], verbose=False)
    module = TASKS[config["task"]](config)
    if note := enlargement(module.style_image, config["style"]["style_size"]):
        rank_zero_only(print)(note)
    device = pick_device("cpu" if config["trainer"]["accelerator"] == "cpu" else "auto")
    speed_up(module, config, device)
    texture = config["task"] == "texture"
    data = NoContent(config["batch_size"]) if texture else instantiate(cfg.data, _convert_="all")
    trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        precision=pick_precision(config["precision"], device),
        logger=instantiate(cfg.logger, _convert_="all"),
        callbacks=[
            ProgressBar(leave=True),
            Throughput(),
            PreviewGrid(run_dir / "previews"),
            *([Budget(parse_duration(config["budget"]))] if config["budget"] else []),
            ResumePoint(run_dir / "last.ckpt", config["checkpoint_every"]),
        ],
    )
    if trainer.world_size > 1 and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise FastStyleError("--multirun trains on one device: the other processes would repeat the whole sweep")
    if trainer.accumulate_grad_batches != 1:
        raise FastStyleError("trainer.accumulate_grad_batches must be 1: use a larger batch_size")
    start = time.perf_counter()
    trainer.fit(module, data, ckpt_path=config["ckpt_path"], weights_only=True)
    seconds = round(time.perf_counter() - start, 1)
    losses = trainer.validate(module, data, verbose=False)[0]
    if trainer.is_global_zero:
        finish(module, config, losses | {"steps": trainer.global_step, "seconds": seconds})
    return losses["val/total_loss"]


def finish(module: StyleTransfer | TextureNetwork, config: dict, losses: dict[str, float]) -> None:
    """Write the release file and a picture, and say how to make the next one."""
    run_dir = Path(config["run_dir"])
    model, unreadable = run_dir / "model.safetensors", run_dir / "unreadable.txt"
    network = (module.transformer if config["task"] == "style_transfer" else module.generator).cpu().eval()
    save_release(model, network, config, module.style_image, losses)
    picture, failures = draw_picture(network, config)
    if unreadable.exists():
        lines = sorted(set(unreadable.read_text().splitlines()))
        print(f"\nskipped {len(lines)} unreadable images, listed in {unreadable}:", *lines[:10], sep="\n  ")
    print(f"\nmodel    {model}", *(f"failed   {reason}" for reason in failures.values()), sep="\n")
    if not failures:
        print(f"picture  {picture}")
    if config["task"] == "texture":
        print(f"\nDraw more of it:\n\n  python infer.py ckpt={model} count=4 size=512")
    else:
        count = " count=4" if config["task"] == "diverse_style_transfer" else ""
        print(f"\nStylise a photo of your own:\n\n  python infer.py ckpt={model} input=photo.jpg{count}")


def draw_picture(network: TransformerNet | TextureGenerator, config: dict) -> tuple[Path, dict[Path, str]]:
    """A texture, or a photo stylised: the file, and {input: reason} where that failed."""
    run_dir, seed = Path(config["run_dir"]), config["seed"]
    if config["task"] == "texture":
        sample_files(network, [run_dir / "texture.png"], PICTURE_SIZE, seed)
        return run_dir / "texture.png", {}
    transformer = network if config["task"] == "style_transfer" else Variant(network, seed, 0)
    picture = run_dir / "stylized.png"
    return picture, stylize_files(transformer, {photo_to_stylize(config): picture})


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    try:
        return train(cfg)
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
