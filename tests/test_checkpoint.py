"""Release files rebuild themselves, explain themselves, and execute nothing."""

import json
import pickle
import platform
import resource
import time
import zipfile

import pytest
import torch
import yaml
from conftest import ROOT
from safetensors import safe_open
from safetensors.torch import save_file

from fast_style.checkpoint import (
    FORMAT,
    CheckpointError,
    load_network,
    load_transformer,
    read_metadata,
    save_release,
)
from fast_style.data.styles import file_sha256
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler

LOSSES = {"val/total_loss": 1.25, "steps": 7}


@pytest.fixture
def release(tmp_path, photo):
    """release(model config) -> (the transformer, the file, the config it was saved with)."""

    def save(name="slim"):
        model = yaml.safe_load((ROOT / f"configs/model/{name}.yaml").read_text()) | {"channels": [4, 6, 8]}
        config = {"model": model, "style": {"name": "my style", "style_size": 64}, "seed": 0}
        torch.manual_seed(1)
        transformer = TransformerNet(**model)
        transformer.train()(torch.rand(2, 3, 16, 16))  # moves the statistics of batch norm
        path = tmp_path / "runs" / f"{name}.safetensors"
        save_release(path, transformer, config, {"my style": [photo(tmp_path / "style.png", 20, 20)]}, LOSSES)
        return transformer, path, config

    return save


@pytest.mark.parametrize("name", ["johnson", "paper", "slim"])
def test_roundtrip_is_bit_equal(release, name):
    transformer, path, _ = release(name)
    loaded, style = load_transformer(path)
    assert style == "my style" and not loaded.training
    expected, state_dict = transformer.state_dict(), loaded.state_dict()
    assert list(state_dict) == list(expected)
    for key, tensor in expected.items():
        assert state_dict[key].dtype == tensor.dtype and torch.equal(state_dict[key], tensor), key
    images = torch.rand(1, 3, 9, 13)
    with torch.no_grad():
        assert torch.equal(loaded(images), transformer.eval()(images))


@pytest.fixture
def generator(tmp_path, photo):
    """generator(task, norm) -> (a generator, its release file)."""

    def save(task="texture", norm="instance"):
        arguments = {"channels": [4, 3, 2], "branch_channels": 2, "noise_channels": 1, "norm": norm}
        torch.manual_seed(1)
        generator = TextureGenerator(**arguments, content=task != "texture")
        images = torch.rand(1, 3, 16, 16) if generator.content else None
        generator(generator.draw_noise((16, 16), [(0,)]), (16, 16), images)  # moves the statistics of batch norm
        config = {"task": task, "generator": arguments, "model": {"no": "transformer"}, "style": {"name": "my style"}}
        save_release(
            tmp_path / "g.safetensors", generator, config, {"my style": [photo(tmp_path / "style.png", 20, 20)]}, LOSSES
        )
        return generator, tmp_path / "g.safetensors"

    return save


@pytest.mark.parametrize("task", ["texture", "diverse_style_transfer"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_generators_rebuild_themselves(generator, task, norm):
    saved, path = generator(task, norm)
    loaded, style = load_network(path)
    assert style == "my style" and not loaded.training and loaded.content == (task != "texture")
    images = torch.rand(2, 3, 9, 13) if loaded.content else None
    noise = loaded.draw_noise((9, 13), [(0,), (1,)])
    with torch.no_grad():
        assert torch.equal(loaded(noise, (9, 13), images), saved.eval()(noise, (9, 13), images))
    assert read_metadata(path)["task"] == task


def test_a_file_that_names_no_task_is_a_transformer(release):
    """Release files of the first versions."""
    transformer, path, _ = release()
    edit(path, "task", None)
    assert load_transformer(path)[0].state_dict().keys() == transformer.state_dict().keys()


def test_a_generator_is_no_transformer(generator):
    _, path = generator()
    with pytest.raises(CheckpointError, match="init_from=.*draws textures.*task=style_transfer"):
        load_transformer(path, "init_from")


def test_tasks_that_are_not_ours(release):
    """A task of the user's own may train a network of ours; no task at all is damage."""
    path = release()[1]
    edit(path, "task", json.dumps("my_task"))
    assert isinstance(load_network(path)[0], TransformerNet)
    edit(path, "task", json.dumps(None))
    with pytest.raises(CheckpointError, match=str(path)):
        load_network(path)


def test_metadata(release, tmp_path):
    _, path, config = release()
    metadata = read_metadata(path)
    assert metadata["format"] == FORMAT
    assert metadata["model"] == config["model"] and metadata["config"] == config and metadata["losses"] == LOSSES
    style_image = tmp_path / "style.png"
    assert metadata["style"] == {"name": "my style", "image": "style.png", "sha256": file_sha256(style_image)}
    assert metadata["versions"]["torch"] == torch.__version__
    assert metadata["versions"]["python"] == platform.python_version()
    assert {"fast_style", "torchvision", "pytorch_lightning"} <= set(metadata["versions"])


def test_command_prints_the_metadata_as_json(release, run, tmp_path):
    path = release()[1]
    finished = run("-m", "fast_style.checkpoint", path)
    assert finished.returncode == 0 and json.loads(finished.stdout) == read_metadata(path)
    finished = run("-m", "fast_style.checkpoint", tmp_path / "none.safetensors")
    assert finished.returncode != 0 and finished.stdout == ""
    assert finished.stderr.startswith("error: ") and "none.safetensors" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=f"ckpt={tmp_path}/none.safetensors: no such file"):
        load_transformer(tmp_path / "none.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pth"])
def test_not_a_model(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("not weights")
    with pytest.raises(CheckpointError, match=str(path)):
        load_transformer(path)


def test_safetensors_of_something_else(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a release file of this project"):
        load_transformer(path)


def edit(path, key, value):
    """Replace one entry of a release file's metadata; None drops it."""
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata[key] = value
    save_file(tensors, path, {key: value for key, value in metadata.items() if value is not None})


@pytest.mark.parametrize(
    "change",
    [
        {"channels": [4, 6]},
        {"channels": [8, 6, 4]},
        {"norm": "batch"},
        {"no_such_argument": 1},
        {"norm": "no_such_norm"},
        {"channels": "many"},
    ],
    ids=str,
)
def test_model_that_does_not_fit_its_weights(release, change):
    _, path, config = release()
    edit(path, "model", json.dumps(config["model"] | change))
    with pytest.raises(CheckpointError, match=str(path)):
        load_transformer(path)


@pytest.mark.parametrize(
    "change", [{"residual_blocks": 10**6}, {"coarse_blocks": 10**12}, {"channels": [30_000] * 3}], ids=str
)
def test_a_file_cannot_make_us_build_more_than_it_holds(release, change):
    """Nor wait: a million blocks are minutes, so wide a block 64 GB."""
    _, path, config = release()
    edit(path, "model", json.dumps(config["model"] | change))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(CheckpointError, match=f"{path}: its tensors are not those"):
        load_transformer(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18, "a quarter of a gigabyte"
    assert time.perf_counter() - start < 10


def test_a_generator_file_cannot_either(generator):
    _, path = generator()
    edit(path, "generator", json.dumps({"channels": [4, 3, 30_000], "branch_channels": 30_000}))
    with pytest.raises(CheckpointError, match=f"{path}: its tensors are not those"):
        load_network(path)


def test_an_upscaler_file_cannot_either(tmp_path):
    config = {"task": "super_resolution", "upscaler": {"scale": 2, "width": 4}, "style": {"name": "x2"}}
    path = tmp_path / "u.safetensors"
    save_release(path, Upscaler(2, 4), config, {}, LOSSES)
    assert load_network(path)[0].scale == 2 and load_network(path)[1] == "x2"
    for change in ({"width": 30_000}, {"residual_blocks": 10**9}, {"scale": 8}):
        edit(path, "upscaler", json.dumps(config["upscaler"] | change))
        with pytest.raises(CheckpointError, match=f"{path}: its tensors are not those"):
            load_network(path)
    edit(path, "upscaler", json.dumps(config["upscaler"] | {"scale": 2**70}))
    with pytest.raises(CheckpointError, match=f"{path} does not fit"):
        load_network(path)


def test_the_folder_of_a_run_is_its_model(trained, run, tmp_path):
    one, other = load_network(trained)[0].state_dict(), load_network(trained / "model.safetensors")[0].state_dict()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert json.loads(run("-m", "fast_style.checkpoint", trained).stdout)["losses"]["steps"] == 4
    with pytest.raises(CheckpointError, match=f"ckpt={tmp_path}/model.safetensors: no such file"):
        load_network(tmp_path)


def test_files_of_the_wrong_kind_say_what_they_are(trained, tmp_path):
    with pytest.raises(CheckpointError, match="last.ckpt is a checkpoint to resume from: the model.safetensors"):
        read_metadata(trained / "last.ckpt")
    save_file({"weight": torch.zeros(1)}, tmp_path / "b.safetensors", {"format": "fast_style backbone 2"})
    with pytest.raises(CheckpointError, match="b.safetensors is a backbone of an earlier version"):
        load_network(tmp_path / "b.safetensors")
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(CheckpointError, match="text.safetensors: no safetensors file"):
        read_metadata(tmp_path / "text.safetensors")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="other.ckpt is not a Lightning checkpoint .* no 'hyper_parameters'"):
        load_network(tmp_path / "other.ckpt")


@pytest.mark.parametrize("key, value", [("model", None), ("style", None), ("model", "{broken"), ("style", "1")])
def test_edited_metadata(release, key, value):
    path = release()[1]
    edit(path, key, value)
    with pytest.raises(CheckpointError, match=str(path)):
        load_transformer(path)


def test_lightning_checkpoint(trained):
    transformer, style = load_transformer(trained / "last.ckpt")
    released, _ = load_transformer(trained / "model.safetensors")
    assert style == "starry_night" and not transformer.training
    for key, tensor in released.state_dict().items():
        assert torch.equal(transformer.state_dict()[key], tensor), key


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": {"config": Evil()}}, path)
    with pytest.raises(CheckpointError, match="not a Lightning checkpoint"):
        load_transformer(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="not a Lightning checkpoint"):
        load_transformer(path)
    assert not (tmp_path / "executed").exists()


def test_a_file_calls_nothing_that_is_there(release, tmp_path):
    """Neither a function of the interpreter's own modules nor a class that the user did not name."""
    path, executed = release()[1], tmp_path / "executed"
    for call in ({"_target_": "os.makedirs", "name": str(executed)}, {"_target_": "os.system", "command": "exit"},
                 {"_target_": "subprocess.Popen", "args": ["mkdir", str(executed)]}):  # fmt: skip
        edit(path, "model", json.dumps(call))
        with pytest.raises(CheckpointError, match=r"give modules=\[(os|subprocess)\], if you trust"):
            load_network(path)
    assert not executed.exists()


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a\nb", "\ud800", "x" * 300], ids=repr)
def test_a_style_is_called_by_no_path(release, name):
    """Its pictures are called by it: the name is one part of a file's."""
    path = release()[1]
    edit(path, "style", json.dumps({"name": name}))
    with pytest.raises(CheckpointError, match="which is no name for a file") as error:
        load_network(path)
    assert len(str(error.value).splitlines()) == 1


def test_an_archive_does_not_fill_the_memory(tmp_path):
    """A gigabyte of zeros, packed to a megabyte in the way of torch.save, whose own files are not packed."""
    whole, packed = tmp_path / "whole.ckpt", tmp_path / "packed.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(2**20)}}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(CheckpointError, match="packed.ckpt is not .*: it is packed"):
        load_network(packed)
    with pytest.raises(CheckpointError, match="whole.ckpt is not .*: it has no 'hyper_parameters'"):
        load_network(whole)


def test_what_is_no_config(release, trained, tmp_path):
    checkpoint = torch.load(trained / "last.ckpt", weights_only=True)
    for config in (["a"], "a", None, checkpoint["hyper_parameters"]["config"] | {"model": {"channels": []}}):
        torch.save(checkpoint | {"hyper_parameters": {"config": config}}, tmp_path / "a.ckpt")
        with pytest.raises(CheckpointError, match="a.ckpt"):
            load_network(tmp_path / "a.ckpt")
    path = release()[1]
    for text in ("9" * 5000, "[" * 10**5):
        edit(path, "losses", text)
        with pytest.raises(CheckpointError, match="metadata of .* is damaged"):
            read_metadata(path)
