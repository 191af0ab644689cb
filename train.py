"""Train a style: python train.py style=starry_night"""

import sys
from pathlib import Path

import hydra
import pytorch_lightning as pl
import skimage
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import RichProgressBar

from fast_style import FastStyleError
from fast_style.callbacks import PreviewGrid, ResumePoint, Throughput
from fast_style.checkpoint import save_release
from fast_style.hardware import pick_device, pick_precision
from fast_style.style_transfer import StyleTransfer
from fast_style.stylize import stylize_files

SAMPLE_PHOTO = Path(skimage.__file__).parent / "data" / "chelsea.png"


def train(cfg: DictConfig) -> float:
    """Train, write the release file and a stylised picture; the held-out loss."""
    config = OmegaConf.to_container(cfg, resolve=True)
    run_dir = Path(config["run_dir"])
    pl.seed_everything(config["seed"], verbose=False)
    content_images = instantiate(cfg.data, _convert_="all")
    module = StyleTransfer(config)
    if config["channels_last"]:
        module = module.to(memory_format=torch.channels_last)
    resume_point = ResumePoint(run_dir / "last.ckpt", config["checkpoint_every"])
    trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        precision=pick_precision(config["precision"], pick_device()),
        logger=instantiate(cfg.logger, _convert_="all"),
        callbacks=[RichProgressBar(leave=True), Throughput(), PreviewGrid(run_dir / "previews"), resume_point],
    )
    trainer.fit(module, content_images, ckpt_path=config["ckpt_path"])
    losses = trainer.validate(module, content_images, verbose=False)[0]

    model, picture = run_dir / "model.safetensors", run_dir / "stylized.png"
    save_release(model, module.transformer, config, module.style_image, losses | {"steps": trainer.global_step})
    stylize_files(module.transformer, {Path(config["photo"] or SAMPLE_PHOTO): picture})
    print(f"\npicture  {picture}\nmodel    {model}\n\nStylise your own photo:\n")
    print(f"  python infer.py ckpt={model} input=photo.jpg")
    return losses["val/total_loss"]


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    try:
        return train(cfg)
    except FastStyleError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
