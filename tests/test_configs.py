"""Every config composes, its keys are the arguments of what it configures, and the paper's recipe is the paper's."""

import copy
import inspect
import math
from dataclasses import fields, is_dataclass
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
from fast_style.errors import FastStyleError
from fast_style.keys import Export, Infer, Optimize, Serve, Train, check_keys
from fast_style.losses import ERRORS, PerceptualLoss
from fast_style.networks.loss_network import LOSS_NETWORKS, load_loss_network
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import NORMS, OUTPUTS, TransformerNet
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
LAUNCHERS = {"local": ("joblib", {"n_jobs": -1}), "ray_cluster": ("ray", {"ray": {}}), "slurm": ("submitit_slurm",
    dict.fromkeys(("timeout_min", "gpus_per_node", "cpus_per_task", "mem_gb", "max_num_timeout")))}  # fmt: skip

# What a user has to say himself.
MISSING = {"data.root": "/photos", "loss_network.weights": "weights.safetensors"}


def relative(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def files_of(group):
    return sorted((CONFIGS / group).glob("*.yaml"))


def nested(key, value):
    """nested("a.b", 1) is {"a": {"b": 1}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


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
    assert {path.name for path in FILES if path.parent == CONFIGS} == {
        "train.yaml", "optimize.yaml", "export.yaml", "serve.yaml"
    }  # fmt: skip
    assert len(FILES) == len(GROUPS) + len(EXPERIMENTS) + len(TASKS_OF_TRAINING) + len(LAUNCHERS) + 5
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
    of_one_task = {"stability_weight"}
    assert config.keys() - of_one_task == resolved().keys() - of_one_task

    def contains(whole, part):
        for key, value in part.items():
            if isinstance(value, dict):
                contains(whole[key], value)
            else:
                expected = OmegaConf.to_container(OmegaConf.create({"x": value}))["x"]
                assert whole[key] == (float(expected) if isinstance(whole[key], float) else expected), key

    contains(config, {key: value for key, value in own.items() if key != "defaults"})


# Mappings from names of any kind.
FREE = ("trainer.", "logger.", "callbacks.", "objective.terms.", "texture.layer_weights.")


def test_every_key_is_declared_and_every_declared_key_is_one_of_a_config(resolved, compose_config):
    def declared(keys, section=""):
        for one in fields(keys):
            yield f"{section}{one.name}"
            if is_dataclass(one.type):
                yield from declared(one.type, f"{section}{one.name}.")

    def composed(config):
        return {name for name in names_of(config) if not name.startswith(FREE)}

    train = set.union(*(composed(resolved(f"data={path.stem}")) for path in files_of("data")))
    assert set(declared(Train)) == train
    of_names = {"infer": {"style.image"}}
    for command, keys in (("infer", Infer), ("export", Export), ("optimize", Optimize), ("serve", Serve)):
        found = composed(OmegaConf.to_container(compose_config(command)))
        assert set(declared(keys)) == found - of_names.get(command, set())


def test_the_choices_are_those_that_the_package_knows():
    def choices(command, section, key):
        (one,) = (one for one in fields(command) if one.name == section)
        (one,) = (one for one in fields(one.type) if one.name == key)
        return set(one.metadata["choices"])

    assert all(choices(Train, section, "norm") == set(NORMS) for section in ("model", "generator", "upscaler"))
    assert choices(Train, "model", "output") == set(OUTPUTS)
    for command in (Train, Optimize):
        assert choices(command, "loss_network", "name") == set(LOSS_NETWORKS)
        assert choices(command, "objective", "error") == set(ERRORS)


TEXT = "must be one name or path; one that looks like something else needs quotes"
NUMBER = "must be a number, at least 0"


@pytest.mark.parametrize("keys, key, value, expected", [
    (Train, "run_dir", 2024, "2024"), (Train, "run_dir", "a${b}.jpg", "a${b}.jpg"), (Train, "run_dir", "${", "${"),
    (Train, "photo", None, None), (Train, "max_steps", None, -1), (Train, "max_steps", -1, -1),
    (Train, "styles", ["a", 7], ["a", "7"]), (Train, "styles", {"a": "b", 7: ["c", 8]}, {"a": "b", "7": ["c", "8"]}),
    (Train, "compile", "auto", "auto"), (Train, "compile", False, False), (Train, "identity_share", 0.5, 0.5),
    (Train, "diversity_weight", 1, 1), (Train, "style.image", [2024], ["2024"]), (Train, "data.seed", 0, 0),
    (Train, "optimizer.gradient_clip", None, None), (Train, "objective.style_scales", [1, 0.5], [1, 0.5]),
    (Train, "objective.style_weights", [[1, 0], [0.5]], [[1, 0], [0.5]]), (Train, "objective.terms", None, None),
    (Train, "objective.terms", {"a": {"_target_": "b"}}, {"a": {"_target_": "b"}}),
    (Train, "model", {"_target_": "mine.Net", "width": "?"}, {"_target_": "mine.Net", "width": "?"}),
    (Infer, "modules", None, []), (Infer, "modules", [], []), (Infer, "modules", ["a"], ["a"]),
    (Infer, "style", {"a": 0.5, 7: 1}, {"a": 0.5, "7": 1}), (Infer, "mask", {"a": 7}, {"a": "7"}),
    (Optimize, "texture.layer_weights", {"relu1_1": 0.5}, {"relu1_1": 0.5}), (Optimize, "quilting.block", 2, 2),
])  # fmt: skip
def test_values_as_they_are_taken(keys, key, value, expected):
    config = nested(key, value)
    check_keys(config, keys)
    assert config == nested(key, expected)


@pytest.mark.parametrize("keys, key, value, message", [
    (Train, "run_dir", True, f"run_dir=true: {TEXT}"), (Train, "run_dir", 1e3, f"run_dir=1000.0: {TEXT}"),
    (Train, "run_dir", None, f"run_dir=null: {TEXT}"), (Train, "run_dir", "", "run_dir=: must not be empty"),
    (Train, "photo", ["a"], f"photo=['a']: {TEXT}"), (Train, "styles", {"a": None}, f"styles={{'a': None}}: {TEXT}"),
    (Train, "styles", {"a": []}, "styles={'a': []}: must be a list, such as [A,B]"),
    (Train, "max_steps", 0, "max_steps=0: must be a whole number, at least 1"),
    (Train, "seed", -1, "seed=-1: must be a whole number, at least 0"),
    (Train, "seed", None, "seed=null: must be a whole number, at least 0"),
    (Train, "seed", 2.0, "seed=2.0: must be a whole number, at least 0"),
    (Train, "seed", True, "seed=true: must be a whole number, at least 0"),
    (Train, "diversity_weight", math.nan, f"diversity_weight=nan: {NUMBER}"),
    (Train, "diversity_weight", math.inf, f"diversity_weight=inf: {NUMBER}"),
    (Train, "diversity_weight", True, f"diversity_weight=true: {NUMBER}"),
    (Train, "diversity_weight", "1", f"diversity_weight=1: {NUMBER}"),
    (Train, "identity_share", 0.51, "identity_share=0.51: must be a number from 0 to 0.5"),
    (Train, "identity_share", math.nan, "identity_share=nan: must be a number from 0 to 0.5"),
    (Train, "optimizer.lr", 0, "optimizer.lr=0: must be a number, more than 0"),
    (Train, "optimizer.lr", None, "optimizer.lr=null: must be a number, more than 0"),
    (Train, "optimizer", "adam", "optimizer=adam: has keys of its own, give optimizer.lr="),
    (Train, "precision", 16, "precision=16: choose from auto, 32-true, bf16-mixed, 16-mixed"),
    (Train, "compile", None, "compile=null: choose from auto, true, false"),
    (Train, "fast_layers", "maybe", "fast_layers=maybe: choose from true, false"),
    (Train, "fast_layers", 3, "fast_layers=3: choose from true, false"),
    (Train, "scale", 3, "scale=3: choose from 2, 4, 8"), (Train, "scale", [2], "scale=[2]: choose from 2, 4, 8"),
    (Train, "model.channels", 5, "model.channels=5: must be a list, such as [A,B]"),
    (Train, "model.channels", [], "model.channels=[]: must be a list, such as [A,B]"),
    (Train, "model.channels", [8, 0], "model.channels=[8, 0]: must be a whole number, at least 1"),
    (Train, "model.channels", [8, 2.5], "model.channels=[8, 2.5]: must be a whole number, at least 1"),
    (Train, "model.kernel_sizes", [9], "model.kernel_sizes=[9]: must be a list of 2, such as [A,B]"),
    (Train, "model.norm", "layer", "model.norm=layer: choose from instance, batch, none"),
    (Train, "model.noise", "some", "model.noise=some: choose from fine, true, false"),
    (Train, "model.noise", 1, "model.noise=1: choose from fine, true, false"),
    (Train, "objective.style_scales", [0], "objective.style_scales=[0]: must be a number, more than 0"),
    (Train, "objective.style_weights", [["a"]], f"objective.style_weights=[['a']]: {NUMBER}"),
    (Train, "objective.style_weights", None, f"objective.style_weights=null: {NUMBER}"),
    (Train, "objective.terms", 5, "objective.terms=5: must be a mapping, such as {A: B}"),
    (Train, "callbacks", ["a"], "callbacks=['a']: must be a mapping, such as {A: B}"),
    (Train, "batchsize", 4, "batchsize: no such key; did you mean batch_size= ? (--help shows all keys)"),
    (Train, "style.imagee", "a", "style.imagee: no such key; did you mean style.image= ? (--help shows all keys)"),
    (Train, "task", {"_target_": "fast_style.Task", "q": 1}, "task.q: no such key; (--help shows all keys)"),
    (Infer, "modules", "a", "modules=a: must be a list, such as [A,B]"),
    (Infer, "style", {"a": "b"}, f"style={{'a': 'b'}}: {NUMBER}"), (Infer, "mask", ["a"], f"mask=['a']: {TEXT}"),
    (Infer, "strength", 1.6, "strength=1.6: must be a number from 0 to 1.5"),
    (Optimize, "texture.layer_weights", {"a": -1}, f"texture.layer_weights={{'a': -1}}: {NUMBER}"),
    (Optimize, "quilting.block", 1, "quilting.block=1: must be a whole number, at least 2"),
])  # fmt: skip
def test_values_that_are_refused(keys, key, value, message):
    with pytest.raises(FastStyleError) as refused:
        check_keys(nested(key, value), keys)
    assert str(refused.value) == message


def test_a_task_of_the_user_reads_keys_of_its_own():
    config = {"task": {"name": "mine", "_target_": "mine.Task", "more": 1}, "brightness": 2, "seed": 0}
    before = copy.deepcopy(config)
    check_keys(config, Train)
    assert config == before
    with pytest.raises(FastStyleError, match="seed=-1"):
        check_keys({**config, "seed": -1}, Train)


def test_the_shipped_values_are_of_their_kinds(resolved, compose_config):
    experiments = ([f"experiment={path.stem}"] for path in EXPERIMENTS)
    for overrides in ([], *experiments, *([f"task={path.stem}"] for path in TASKS_OF_TRAINING)):
        config = resolved(*overrides)
        before = copy.deepcopy(config)
        check_keys(config, Train)
        assert config == before
    for objective in files_of("objective"):
        check_keys(resolved(f"objective={objective.stem}"), Train)
    check_keys(OmegaConf.to_container(compose_config("infer", "ckpt=a")), Infer)
    check_keys(OmegaConf.to_container(compose_config("export", "ckpt=a")), Export)
    check_keys(OmegaConf.to_container(compose_config("optimize"), resolve=True), Optimize)
    check_keys(OmegaConf.to_container(compose_config("serve", "models=a")), Serve)


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
    assert not OmegaConf.missing_keys(compose_config("infer"))


def test_export_composes(compose_config):
    cfg = compose_config("export", return_hydra_config=True)
    assert cfg.hydra.output_subdir is None and cfg.hydra.run.dir == ".", "nothing of Hydra's is left behind"
    assert OmegaConf.missing_keys(compose_config("export")) == {"ckpt"}


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
    pytest.importorskip(path.stem if path.stem in ("mlflow", "tensorboard") else "pytorch_lightning")
    config = resolved(f"logger={path.stem}")["logger"]
    if path.stem == "mlflow":  # which has one place for all runs
        config["tracking_uri"] = f"sqlite:///{tmp_path}/mlflow.db"
    instantiate(config)
    assert config.get("save_dir", str(tmp_path)) == str(tmp_path)


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
        "coarse_blocks": 0,
        "weight_norm": False,
        "noise": False,
        "skips": False,
        "margin": 0,
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
