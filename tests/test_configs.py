"""Every config composes, its keys are the arguments of what it configures, and the paper's recipe is the paper's."""

import copy
import inspect
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from fast_style.ancestors import quilting
from fast_style.ancestors.inversion import InversionLoss
from fast_style.ancestors.tasks import TASKS
from fast_style.ancestors.texture_synthesis import TextureLoss
from fast_style.data.styles import find_style_images
from fast_style.keys import INFER, OPTIMIZE, TRAIN, check_keys
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import LOSS_NETWORKS, load_loss_network
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler
from fast_style.overrides import names_of
from fast_style.training.task import Task

CONFIGS = ROOT / "configs"
TASKS_OF_TRAINING = sorted((CONFIGS / "train" / "task").glob("*.yaml"))
FILES = sorted(CONFIGS.rglob("*.yaml"))
GROUPS = sorted(
    path for path in FILES if path.parent.parent == CONFIGS and path.parent.name not in ("experiment", "infer")
)
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*.yaml"))
LAUNCHERS = {"local": ("joblib", {"n_jobs": -1}), "slurm": ("submitit_slurm", dict.fromkeys(
    ("timeout_min", "gpus_per_node", "cpus_per_task", "mem_gb", "partition")))}  # fmt: skip

# What a user has to say himself.
MISSING = {"data.root": "/photos", "loss_network.weights": "weights.safetensors"}


def relative(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def files_of(group):
    return sorted((CONFIGS / group).glob("*.yaml"))


def arguments(function):
    return set(inspect.signature(function).parameters) - {"self"}


@pytest.fixture
def resolved(compose_config, tmp_path):
    """resolved(*overrides): the training config as plain data, with what is missing filled in."""

    def build(*overrides):
        cfg = compose_config("train", *overrides, f"run_dir={tmp_path}")
        for key in OmegaConf.missing_keys(cfg):
            OmegaConf.update(cfg, key, MISSING[key])
        return OmegaConf.to_container(cfg, resolve=True)

    return build


def test_every_file_is_covered():
    groups = {path.parent.name for path in GROUPS}
    assert groups == {
        "style", "data", "model", "generator", "upscaler", "loss_network", "objective", "trainer", "logger"
    }  # fmt: skip
    assert {path.name for path in FILES if path.parent == CONFIGS} == {"train.yaml", "optimize.yaml"}
    assert len(FILES) == len(GROUPS) + len(EXPERIMENTS) + len(TASKS_OF_TRAINING) + len(LAUNCHERS) + 3
    assert all(len(files_of(group)) > 1 for group in groups), "a group exists only where there is a choice"


@pytest.mark.parametrize("path", GROUPS, ids=relative)
def test_every_choice_composes(resolved, path):
    group, own = path.parent.name, yaml.safe_load(path.read_text())
    config = resolved(f"{group}={path.stem}")
    assert set(own) - {"defaults"} <= set(config[group])
    default = resolved()
    assert config.keys() == default.keys()
    assert all(config[key] == default[key] for key in config.keys() - {group, "run_dir"}), "nothing else changes"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_composes_and_wins(resolved, path):
    """Its values arrive in the config: with _self_ last in train.yaml they would be lost without a word."""
    own = yaml.safe_load(path.read_text())
    config = resolved(f"experiment={path.stem}")
    assert config.keys() == resolved().keys()

    def contains(whole, part):
        for key, value in part.items():
            if isinstance(value, dict):
                contains(whole[key], value)
            else:
                expected = OmegaConf.to_container(OmegaConf.create({"x": value}))["x"]
                assert whole[key] == (float(expected) if isinstance(whole[key], float) else expected), key

    contains(config, {key: value for key, value in own.items() if key != "defaults"})


def test_every_declared_key_is_one_of_a_config(resolved, compose_config):
    """A kind for a key that no config has would be checked for nothing."""
    train = {name for data in ("samples", "folder") for name in names_of(resolved(f"data={data}"))}
    assert set(TRAIN) <= train
    for command, kinds in (("infer", INFER), ("optimize", OPTIMIZE)):
        assert set(kinds) <= set(names_of(OmegaConf.to_container(compose_config(command))))


def test_the_shipped_values_are_of_their_kinds(resolved, compose_config):
    experiments = ([f"experiment={path.stem}"] for path in EXPERIMENTS)
    for overrides in ([], *experiments, *([f"task={path.stem}"] for path in TASKS_OF_TRAINING)):
        config = resolved(*overrides)
        before = copy.deepcopy(config)
        check_keys(config, TRAIN)
        assert config == before
    for objective in files_of("objective"):
        check_keys(resolved(f"objective={objective.stem}"), TRAIN)
    check_keys(OmegaConf.to_container(compose_config("infer", "ckpt=a")), INFER)
    check_keys(OmegaConf.to_container(compose_config("optimize"), resolve=True), OPTIMIZE)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_launchers_are_those_of_plugins_with_other_values(compose_config, name, monkeypatch):
    """Composed with a stand-in for the plugin, which need not be installed."""
    plugin, defaults = LAUNCHERS[name]
    options = {"return_hydra_config": True}
    compose_config("train", "run_dir=.", **options)  # lets Hydra store what it has itself
    launchers = ConfigStore.instance().repo["hydra"]["launcher"]
    stand_in = OmegaConf.create({"_target_": "plugin", **defaults})
    monkeypatch.setitem(
        launchers, f"{plugin}.yaml", ConfigNode(f"{plugin}.yaml", stand_in, "hydra/launcher", None, "test")
    )
    launcher = compose_config("train", "run_dir=.", f"hydra/launcher={name}", **options).hydra.launcher
    own = yaml.safe_load((CONFIGS / "hydra" / "launcher" / f"{name}.yaml").read_text())
    assert own.pop("defaults") == [plugin] and own.keys() <= defaults.keys()
    assert launcher == {"_target_": "plugin", **defaults, **own}


def test_infer_composes(compose_config):
    cfg = compose_config("infer", "ckpt=a.safetensors", "input=a.jpg", return_hydra_config=True)
    assert cfg.hydra.output_subdir is None and cfg.hydra.run.dir == ".", "infer.py leaves nothing of Hydra's behind"
    assert OmegaConf.missing_keys(compose_config("infer")) == {"ckpt"}


def test_nothing_is_missing_by_default(compose_config):
    assert not OmegaConf.missing_keys(compose_config("train", "run_dir=."))
    assert not OmegaConf.missing_keys(compose_config("optimize"))


@pytest.mark.parametrize(
    "path", [path for group in ("style", "loss_network", "objective") for path in files_of(group)], ids=relative
)
def test_optimize_takes_the_groups_of_the_main_job(compose_config, path):
    """Whole, but for what its own file says: the size of the style picture and the pooling."""
    group = path.parent.name
    here, there = (
        OmegaConf.to_container(compose_config(job, f"{group}={path.stem}")[group]) for job in ("optimize", "train")
    )
    assert here.keys() == there.keys()
    different = {key for key in here if here[key] != there[key]}
    assert different == {"style": {"style_size"}, "loss_network": {"pooling"}, "objective": set()}[group]


def test_the_sections_of_optimize_are_arguments(compose_config):
    cfg = compose_config("optimize", return_hydra_config=True)
    assert cfg.hydra.output_subdir is None and cfg.hydra.run.dir == ".", "optimize.py leaves nothing of Hydra's behind"
    assert set(cfg.quilting) == arguments(quilting.transfer) - {"texture", "content", "seed"}
    assert set(cfg.inversion) == arguments(InversionLoss) - {"loss_network", "photo"}
    assert {"layer_weights", "statistic", "error"} == set(cfg.texture) & arguments(TextureLoss)
    assert set(TASKS) - {"portilla_simoncelli"} <= set(cfg), "every task with parameters has a section"


@pytest.mark.parametrize("path", files_of("model"), ids=relative)
def test_models_are_arguments_of_the_network(path):
    model = yaml.safe_load(path.read_text())
    assert set(model) == arguments(TransformerNet), "a release file states them all"
    TransformerNet(**model)


@pytest.mark.parametrize("path", files_of("generator"), ids=relative)
def test_generators_are_arguments_of_the_network(path):
    generator = yaml.safe_load(path.read_text())
    assert set(generator) == arguments(TextureGenerator) - {"content"}, "the task says whether there is content"
    TextureGenerator(**generator)


@pytest.mark.parametrize("path", files_of("upscaler"), ids=relative)
def test_upscalers_are_arguments_of_the_network(resolved, path):
    assert set(yaml.safe_load(path.read_text())) == arguments(Upscaler), "a release file states them all"
    for scale in (2, 4, 8):
        assert Upscaler(**resolved(f"upscaler={path.stem}", f"scale={scale}")["upscaler"]).scale == scale


@pytest.mark.parametrize("path", files_of("objective"), ids=relative)
def test_objectives_are_arguments_of_the_loss(path):
    config = yaml.safe_load(path.read_text())
    assert set(config) == arguments(PerceptualLoss) - {"loss_network", "style_images"}


@pytest.mark.parametrize("path", files_of("loss_network"), ids=relative)
def test_loss_networks_are_arguments_of_the_loader(path):
    config = yaml.safe_load(path.read_text())
    assert config["name"] == path.stem and path.stem in LOSS_NETWORKS
    assert set(config) <= arguments(load_loss_network) - {"layers"}


def test_every_loss_network_has_a_config():
    assert {path.stem for path in files_of("loss_network")} == set(LOSS_NETWORKS)


@pytest.mark.parametrize("path", files_of("style"), ids=relative)
def test_styles_are_arguments_of_the_finder(resolved, path):
    config = resolved(f"style={path.stem}")["style"]
    assert config["name"] == path.stem
    assert resolved(f"style={path.stem}", "style.image=a/my_cat.jpg")["style"]["name"] == "my_cat"
    several = resolved(f"style={path.stem}", "style.image=[a/my_cat.jpg,b.jpg]")["style"]
    assert several["name"] == "my_cat_and_others" and several["image"] == ["a/my_cat.jpg", "b.jpg"]
    assert set(config) == arguments(find_style_images) | {"style_size"}


@pytest.mark.parametrize("path", files_of("data"), ids=relative)
def test_data_can_be_built(compose_config, photo, tmp_path, path):
    for index in range(9):
        photo(tmp_path / "train2017" / f"{index}.jpg", 20, 20, seed=index)
    root = [] if path.stem == "samples" else [f"data.root={tmp_path}"]
    cfg = compose_config("train", f"data={path.stem}", *root, f"run_dir={tmp_path}", "batch_size=3", "seed=7")
    content_images = instantiate(cfg.data, _convert_="all")
    assert type(content_images).__name__.lower() == path.stem
    assert (content_images.image_size, content_images.batch_size, content_images.seed) == (cfg.image_size, 3, 7)
    assert content_images.short_side == 288
    assert instantiate(cfg.data, _convert_="all", short_side=300).short_side == 300


@pytest.mark.parametrize("path", files_of("trainer"), ids=relative)
def test_trainers_stop_after_max_steps(resolved, path):
    trainer = resolved(f"trainer={path.stem}", "max_steps=123")["trainer"]
    assert trainer["max_steps"] == 123 and trainer["use_distributed_sampler"] is False
    if path.stem == "auto":
        assert instantiate(trainer, logger=False, accelerator="cpu").max_steps == 123


@pytest.mark.parametrize("path", files_of("logger"), ids=relative)
def test_loggers_write_into_the_run(resolved, path, tmp_path):
    pytest.importorskip("tensorboard" if path.stem == "tensorboard" else "pytorch_lightning")
    config = resolved(f"logger={path.stem}")["logger"]
    instantiate(config)
    assert config["save_dir"] == str(tmp_path)


def test_the_paper(resolved):
    """Johnson et al. 2016, sections 3 and 4.1 and the supplement."""
    config = resolved("experiment=johnson2016")
    assert (config["max_steps"], config["batch_size"], config["image_size"]) == (40_000, 4, 256)
    assert config["optimizer"] == {**config["optimizer"], "lr": 1e-3, "schedule": "constant", "warmup_steps": 0}
    assert config["precision"] == "32-true"
    assert config["objective"]["content_layers"] == ["relu2_2"]
    assert config["objective"]["style_layers"] == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert config["objective"]["error"] == "mean_squared" and config["objective"]["style_scales"] == [1]
    assert config["objective"]["tv_weight"] > 0
    assert (config["loss_network"]["name"], config["loss_network"]["pooling"]) == ("vgg16_caffe", "max")
    assert config["style"]["style_size"] == 256
    assert config["data"]["_target_"] == "fast_style.data.content.Coco"
    assert config["model"] == {
        "channels": [32, 64, 128],
        "residual_blocks": 5,
        "kernel_sizes": [9, 9],
        "norm": "batch",
        "upsampling": "transposed",
        "padding": "input",
        "output": "tanh",
        "noise": False,
        "skips": False,
    }


def test_the_super_resolution_of_the_paper(resolved):
    """Johnson et al. 2016, section 4.2 and the supplement."""
    config = resolved("experiment=johnson2016_sr")
    assert (config["max_steps"], config["batch_size"], config["image_size"]) == (200_000, 4, 288)
    assert config["task"]["name"] == "super_resolution" and (config["scale"], config["error"]) == (4, "feature")
    assert config["optimizer"] == {**config["optimizer"], "lr": 1e-3, "schedule": "constant", "warmup_steps": 0}
    assert config["objective"]["content_layers"] == ["relu2_2"] and config["objective"]["error"] == "mean_squared"
    assert (config["loss_network"]["name"], config["precision"]) == ("vgg16_caffe", "32-true")
    assert config["data"]["_target_"] == "fast_style.data.content.Coco"
    assert config["upscaler"] == {
        "scale": 4,
        "width": 64,
        "residual_blocks": 4,
        "kernel_sizes": [9, 9],
        "norm": "batch",
        "upsampling": "transposed",
        "padding": "zeros",
        "residual": False,
        "histogram_matching": True,
    }
    assert resolved("scale=8", "experiment=johnson2016_sr")["upscaler"]["scale"] == 8
    assert resolved("scale=8", "experiment=johnson2016_sr")["style"]["name"] == "x8"


@pytest.mark.parametrize("path", TASKS_OF_TRAINING, ids=relative)
def test_every_task_has_a_learning_rate_and_a_batch_size(resolved, path):
    task = path.stem
    config = resolved(f"task={task}")
    assert issubclass(get_class(config["task"]["_target_"]), Task) and config["task"]["name"] == task
    assert type(config["optimizer"]["lr"]) is float and type(config["batch_size"]) is int
    config = resolved(f"task={task}", "optimizer.lr=0.5", "batch_size=7")
    assert (config["optimizer"]["lr"], config["batch_size"]) == (0.5, 7)


def test_numbers_are_numbers(resolved):
    """YAML 1.1 reads 1e5 as a string."""
    for objective in files_of("objective"):
        config = resolved(f"objective={objective.stem}")
        weights = [config["objective"][f"{name}_weight"] for name in ("content", "style", "tv")]
        assert all(type(value) in (int, float) for value in [*weights, config["optimizer"]["lr"]])
    assert resolved("objective=pytorch_examples")["objective"]["style_weight"] == 1e10
