"""recipe=FILE: the same training again."""

import json

import pytest
import torch
from conftest import TINY_RUN
from safetensors.torch import load_file, save_file

from fast_style import train
from fast_style.checkpoint import read_metadata
from fast_style.errors import FastStyleError
from fast_style.training.recipe import section

MACHINE = [key for key in TINY_RUN if key.startswith("trainer.")]


def test_the_same_recipe_gives_the_same_weights(tmp_path, photo):
    """None of the keys is given again; neither the picture's name nor an objective of its own is the default."""
    picture = photo(tmp_path / "mine.png", 70, 80)
    keys = (
        "objective.style_weight=7",
        "objective.tv_weight=2",
        "optimizer.schedule=constant",
        "seed=3",
        "init_from=null",
    )
    first = train(*TINY_RUN, f"style.image={picture}", *keys, "max_steps=3", f"run_dir={tmp_path}/first")
    again = train(*MACHINE, f"recipe={first.model}", f"run_dir={tmp_path}/again")
    one, other = load_file(first.model), load_file(again.model)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert read_metadata(again.model)["style"] == read_metadata(first.model)["style"]
    changed = ("objective.style_weight=1", "batch_size=1", "max_steps=2", "style=mosaic")
    config = read_metadata(train(*MACHINE, f"recipe={first.model}", *changed, f"run_dir={tmp_path}/c").model)["config"]
    assert config["objective"]["style_weight"] == 1 and config["objective"]["tv_weight"] == 2
    assert config["batch_size"] == config["data"]["batch_size"] == 1 and config["style"]["name"] == "mosaic"
    assert config["max_steps"] == 2 and config["seed"] == config["data"]["seed"] == 3
    photo(picture, 70, 80, seed=1)
    with pytest.raises(FastStyleError, match="the style picture has changed"):
        train(*MACHINE, f"recipe={first.model}", f"run_dir={tmp_path}/d")


def test_sections_have_no_more_than_their_keys():
    """An earlier version stored fewer keys, and heads, an argument of the loader that is none."""
    assert section("generator", {"channels": [8]}, {}, []) == {
        "channels": [8], "branch_channels": 8, "noise_channels": 3, "norm": "batch"
    }  # fmt: skip
    recipe, given = {"name": "vgg16", "heads": True}, {"pooling": "avg", "name": "distilled"}
    found = section("loss_network", recipe, given, ["loss_network.pooling"])
    assert found == {"name": "vgg16", "weights": None, "pooling": "avg", "padding": None}


def test_a_time_becomes_its_steps_and_what_cannot_be_done_again(tmp_path, trained):
    metadata = read_metadata(trained / "model.safetensors")
    tensors = load_file(trained / "model.safetensors")

    def refused(message, *overrides, **changes):
        config = metadata["config"] | changes
        strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
        save_file(tensors, tmp_path / "model.safetensors", strings | {"config": json.dumps(config)})
        with pytest.raises(FastStyleError, match=message):
            train(*MACHINE, f"recipe={tmp_path}", f"run_dir={tmp_path}/run", *overrides)

    refused("model._target_=my_module.MyNet is of another package", model={"_target_": "my_module.MyNet"})
    for target in (
        "os.makedirs",
        "fast_style.writing.os.makedirs",
        "fast_style.training.fit.Path",
        "fast_style.training.no.No",
    ):
        call = {"_target_": target, "name": str(tmp_path / "executed"), "weight": 1}
        refused("objective.terms.a._target_=.* is of another", objective={"terms": {"a": call}})
        refused("data._target_=.* is of another", data=call)
    assert not (tmp_path / "executed").exists()
    refused("recipe= and experiment=", "experiment=johnson2016", "data.root=x")
    budget = {"budget": "5min", "max_steps": -1}
    strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
    strings["config"] = json.dumps(metadata["config"] | budget)
    save_file(tensors, tmp_path / "model.safetensors", strings)
    done = train(*MACHINE, f"recipe={tmp_path}", f"run_dir={tmp_path}/run")
    assert done.losses["steps"] == metadata["losses"]["steps"] == 4
    with pytest.raises(FastStyleError, match="recipe=none"):
        train("recipe=none", f"run_dir={tmp_path}/none")
