"""Numbers that no reshaping of the code may change: a loss after some steps on a CPU, a stylised picture.

They hold what the code gave, not what a paper says. A change of the mathematics changes them, and says so.
"""

import json

import numpy as np
import pytest
import torch
from conftest import TINY_RUN
from PIL import Image
from safetensors.torch import save_file

from fast_style.checkpoint import read_metadata
from fast_style.networks.transformer_net import TransformerNet

# What the defaults were when they were pinned.
WEIGHING = [
    "loss_network=distilled",
    "objective.content_layers=[relu3_1]",
    "objective.style_layers=[relu1_1,relu2_1,relu3_1,relu4_1]",
    "objective.style_weights=[[0.7,1,1,0.4],[0.1,0.2,0.3,0.3]]",
]
RUNS = {
    "style_transfer": [
        "model.noise=false",
        "model.skips=false",
        "model.margin=0",
        "model.weight_norm=false",
        "objective.style_weight=3",
        "objective.tone_weight=0.15",
        "optimizer.lr=4e-3",
        "optimizer.gradient_clip=null",
        *WEIGHING,
    ],
    "paper": [
        "model=paper",
        *WEIGHING,
        "objective.style_weight=5",
        "objective.tone_weight=0.15",
        "model.channels=[4,8]",
        "model.residual_blocks=1",
        "optimizer.lr=4e-3",
        "optimizer.gradient_clip=null",
    ],
    "texture": ["task=texture", "objective=texture", "generator.channels=[8,8]"],
    "diverse": ["task=diverse_style_transfer", "objective=texture", "generator.channels=[8,8]", "diversity_weight=0.1"],
}
PICTURE = [107.8424, 54.4852, 108.6831, 146]
LOSSES = {"style_transfer": 9.70355, "paper": 10.8776, "texture": 2.928386, "diverse": 4.709754}


@pytest.mark.parametrize("name", RUNS)
def test_held_out_loss_after_four_steps(train_in_process, name):
    """Not the weights: biases before a norm do nothing, and Adam moves them by the sign of a rounding error."""
    folder = train_in_process(name, *TINY_RUN, "max_steps=4", "init_from=null", *RUNS[name])
    loss = read_metadata(folder / "model.safetensors")["losses"]["val/total_loss"]
    assert loss == pytest.approx(LOSSES[name], rel=5e-4)


def test_a_picture_by_a_file_of_the_first_format(run, tmp_path):
    """It knows neither noise nor tasks; its weights are drawn here."""
    model = {"channels": [8, 12, 16], "residual_blocks": 2, "kernel_sizes": [9, 3], "upsampling": "bilinear"}
    shapes = {name: tensor.shape for name, tensor in TransformerNet(**model).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator) * (2 / max(1, shape[1:].numel())) ** 0.5 if len(shape) > 1
        else 0.5 + 0.1 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }  # fmt: skip
    *_, last, _ = tensors
    tensors[last] *= 0.2
    described = {"model": model, "style": {"name": "drawn"}}
    metadata = {"format": "fast_style transformer 1"} | {key: json.dumps(value) for key, value in described.items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    rows, columns = np.mgrid[:61, :90]
    photo = np.stack([rows * 4, columns * 2, (rows * columns) % 256], 2).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    files = [f"{key}={tmp_path}/{name}" for key, name in (("ckpt", "model.safetensors"), ("input", "photo.png"))]
    finished = run("infer.py", *files, f"output={tmp_path}/out.png", "precision=32-true")
    assert finished.returncode == 0, finished.stderr
    picture = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    found = [picture.mean(), picture.std(), picture[::7, ::5].mean(), picture[30, 45, 1]]
    np.testing.assert_allclose(found, PICTURE, atol=0.05)
