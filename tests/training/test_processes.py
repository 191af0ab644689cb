"""Several processes of one run: they exchange tensors by position, and train as one on all the images."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT, TINY_RUN

from fast_style.checkpoint import read_metadata

# Prints what DistributedDataParallel copies from the first process to the others, in the order it does.
NAMES = """
import sys
from hydra import compose, initialize_config_dir
from fast_style.commands import CONFIGS
from fast_style.training.fit import plain
from fast_style.training.task import task_class
for loss_network in ([], sys.argv[1:3]):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = plain(compose("train", [*sys.argv[3:], *loss_network]))
    module = task_class(config)(config)
    for tensors in (module.named_parameters(), module.named_buffers()):
        print(*(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors), sep="\\n")
"""


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    return kept | {"PYTHONPATH": str(ROOT)} | variables


SLOW = [pytest.param(task, marks=pytest.mark.slow) for task in ("texture", "diverse_style_transfer")]


@pytest.mark.parametrize("task", ["style_transfer", *SLOW])
def test_every_process_has_its_tensors_in_the_same_order(vgg, task):
    """Whatever the order of Python's sets, which differs from process to process."""
    arguments = (f"task={task}", *TINY_RUN, "max_steps=1", "run_dir=none", "objective=relative", "model.noise=true")
    loss_network, listed = ("loss_network=vgg16", f"loss_network.weights={vgg('tiny_vgg16')[1]}"), set()
    for seed in "01":
        command = [sys.executable, "-c", NAMES, *loss_network, *arguments]
        finished = subprocess.run(command, env=environment(PYTHONHASHSEED=seed), capture_output=True, text=True)
        assert finished.stdout.count("transformer.layers.0.0.weight") == 2, finished.stderr
        assert "style_gram_relu1_2" in finished.stdout
        listed.add(finished.stdout)
    assert len(listed) == 1


def test_two_processes_train_as_one_with_twice_the_batch(train_in_process, tmp_path):
    """The real command, whose processes each draw a hash seed of their own, beside trainings in this process."""
    tiny = ("max_steps=3", "model.noise=false")

    def losses(folder):
        held_out = read_metadata(folder / "model.safetensors")["losses"]
        return {name: value for name, value in held_out.items() if name.startswith("val/")}

    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "batch_size=2")
    command = [sys.executable, "train.py", *TINY_RUN, *tiny, *ddp, f"hydra.run.dir={tmp_path / 'two'}"]
    finished = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    two, one = losses(tmp_path / "two"), losses(train_in_process("one", *tiny, "batch_size=4"))
    assert two == pytest.approx(one, rel=1e-3)
    untrained = losses(train_in_process("untrained", *tiny, "batch_size=4", "optimizer.lr=1e-12"))
    assert two != pytest.approx(untrained, rel=1e-2)
