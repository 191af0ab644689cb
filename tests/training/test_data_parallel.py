"""A batch shared out among threads: the same terms and the same gradient as by one, errors included."""

import csv

import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from torch import nn

from fast_style.training.data_parallel import DataParallel
from fast_style.training.fit import speed_up
from fast_style.training.task import task_class


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, 2, 3), nn.Parameter(torch.tensor(0.5))

    def terms(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.scale * self.conv(images)
        return {"energy": features.square().mean(), "size": 0.1 * features.abs().mean(), "none": 0 * features.mean()}


def terms_and_gradients(terms, network, images):
    values = terms(images)
    network.zero_grad()
    (3 * sum(values.values())).backward()
    return values, [parameter.grad.clone() for parameter in network.parameters()]


@pytest.mark.parametrize("count, images", [(2, 4), (3, 3), (1, 3)])
def test_terms_and_gradient_are_those_of_one_thread(count, images):
    torch.manual_seed(0)
    network, images = Network().double(), torch.rand(images, 3, 8, 8, dtype=torch.float64)
    values, gradients = terms_and_gradients(DataParallel(network.terms, network, count), network, images)
    expected = terms_and_gradients(network.terms, network, images)
    assert list(values) == list(expected[0])
    torch.testing.assert_close(values, expected[0])
    torch.testing.assert_close(gradients, expected[1])


def test_numbers_in_bfloat16_are_those_of_one_thread():
    torch.manual_seed(0)
    network, images = Network(), torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        values, gradients = terms_and_gradients(DataParallel(network.terms, network, 2), network, images)
        expected = terms_and_gradients(network.terms, network, images)
    torch.testing.assert_close(values, expected[0], rtol=0.01, atol=0)
    exact = terms_and_gradients(network.terms, network, images)[1]
    assert not torch.equal(gradients[0], exact[0]), "not float32"
    torch.testing.assert_close(gradients, expected[1], rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("enabled", [True, False])
def test_autocast_reaches_the_threads(enabled):
    seen, threads = [], torch.get_num_threads()

    def terms(images):
        seen.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.get_num_threads()))
        return network.terms(images)

    network = Network()
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        DataParallel(terms, network, 2)(torch.rand(2, 3, 8, 8))
    assert seen == [(enabled, torch.bfloat16, 1)] * 2
    assert torch.get_num_threads() == threads, "of this thread, for whatever comes after the training"


def test_an_error_in_a_thread_arrives():
    def terms(images):
        raise ValueError("in a thread")

    with pytest.raises(ValueError, match="in a thread"):
        DataParallel(terms, Network(), 2)(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize(
    "cores, overrides, expected",
    [
        (2, ["batch_size=4"], 2),
        (3, ["batch_size=4"], None),
        (3, ["batch_size=6"], 3),
        (1, ["batch_size=4"], None),
        (8, ["batch_size=4"], None),
        (2, ["data_parallel=false"], None),
        (2, ["compile=true"], None),
        (2, ["model.norm=batch"], None),
        (2, ["task=texture"], None),
        (2, ["trainer=ddp"], None),
    ],
)
def test_where_it_applies(compose_config, monkeypatch, cores, overrides, expected):
    """Where no core would wait for another's images."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    cfg = compose_config("train", *TINY_RUN, "batch_size=4", *overrides, "run_dir=none")
    module = task_class(cfg)(OmegaConf.to_container(cfg, resolve=True))
    monkeypatch.setattr(torch, "compile", lambda function: function)
    speed_up(module, cfg, torch.device("cpu"))
    terms = getattr(module, "training_terms", None)
    assert (terms.count if isinstance(terms, DataParallel) else None) == expected


def test_a_gpu_compiles_instead(compose_config, monkeypatch):
    cfg = compose_config("train", *TINY_RUN, "run_dir=none")
    module = task_class(cfg)(OmegaConf.to_container(cfg, resolve=True))
    monkeypatch.setattr(torch, "compile", lambda function: "compiled")
    monkeypatch.setattr("fast_style.training.style_transfer.why_not_compiled", lambda device: None)
    speed_up(module, cfg, torch.device("cuda"))
    assert module.training_terms == "compiled"


def test_training_is_the_same_with_and_without(train_in_process, monkeypatch):
    """Adam soon makes much of the last digits, so only about the same."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def losses(data_parallel):
        every_step = "trainer.log_every_n_steps=1"
        folder = train_in_process(
            str(data_parallel), "max_steps=5", "batch_size=4", f"data_parallel={data_parallel}", every_step
        )
        with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
            return [float(row["train/total_loss"]) for row in csv.DictReader(file) if row["train/total_loss"]]

    shared, whole = losses(True), losses(False)
    assert len(shared) == 5 and shared != whole, "another order of the sums"
    assert shared[0] == pytest.approx(whole[0], rel=1e-4) and shared == pytest.approx(whole, rel=0.03)
    assert max(whole) > 1.1 * min(whole), "and the network has moved"
