"""What a run can go on from: the same recipe and the same picture, and something left to do."""

import hashlib
import shutil
import time

import pytest
import torch
from conftest import TINY_RUN
from pytorch_lightning.callbacks import LambdaCallback
from safetensors.torch import load_file

from fast_style.checkpoint import read_metadata
from fast_style.errors import FastStyleError
from fast_style.training.fit import fit


@pytest.fixture
def stopped(train_in_process, photo, tmp_path):
    """The last.ckpt of two steps on a picture of the user's."""
    picture = photo(tmp_path / "mine.png", 70, 80)
    return train_in_process("stopped", "max_steps=2", f"style.image={picture}") / "last.ckpt"


def test_a_painting_may_move_and_no_other_take_its_place(train_in_process, photo, tmp_path, stopped):
    moved = shutil.move(tmp_path / "mine.png", tmp_path / "painting.png")
    train_in_process("moved", "max_steps=3", f"style.image={moved}", f"ckpt_path={stopped}")
    photo(tmp_path / "mine.png", 70, 80, seed=1)
    with pytest.raises(FastStyleError, match=f"another style picture than {tmp_path}/mine.png: "):
        train_in_process("other", "max_steps=3", f"style.image={tmp_path}/mine.png", f"ckpt_path={stopped}")
    with pytest.raises(FastStyleError, match="another style.style_size: "):
        train_in_process("c", "max_steps=3", f"style.image={moved}", "style.style_size=48", f"ckpt_path={stopped}")


def test_the_pictures_of_an_artists_hand(train_in_process, photo, tmp_path):
    """The release file names all of them, and a run goes on with these alone."""
    first, second = (photo(tmp_path / "hand" / f"{name}.png", 70, 80, seed=seed) for seed, name in enumerate("ab"))
    options = ("max_steps=2", "init_from=null")
    folder = train_in_process("run", *options, f"style.image=[{first},{second}]")
    style = read_metadata(folder / "model.safetensors")["style"]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    assert style == {"name": "a_and_others", "image": ["a.png", "b.png"], "sha256": hashes}
    on = ("max_steps=3", "init_from=null", f"ckpt_path={folder}/last.ckpt")
    other = train_in_process("other", *on, f"style.image={tmp_path}/hand")
    assert read_metadata(other / "model.safetensors")["style"] == style | {"name": "hand"}
    for pictures in (first, f"[{first},{first}]"):
        with pytest.raises(FastStyleError, match="another style picture than"):
            train_in_process("c", *on, f"style.image={pictures}")


EARLIER = "model.noise=false", "model.skips=false", "objective.tone_weight=0", "optimizer.gradient_clip=null"


def test_what_an_earlier_version_did_not_store_was_its_default(train_in_process, tmp_path):
    finished = train_in_process("finished", "max_steps=2", *EARLIER)
    checkpoint = torch.load(finished / "last.ckpt", weights_only=True)
    hyper_parameters = checkpoint["hyper_parameters"]
    config = hyper_parameters["config"]
    del config["objective"]["terms"], config["objective"]["tone_weight"]
    del config["model"]["noise"], config["model"]["skips"], config["optimizer"]["gradient_clip"]
    del config["diversity_weight"], hyper_parameters["style_sha256"], checkpoint["callbacks"]["Timer"]
    torch.save(checkpoint, tmp_path / "earlier.ckpt")
    same = (f"ckpt_path={tmp_path / 'earlier.ckpt'}", "max_steps=3")
    train_in_process("same", *same, *EARLIER)
    with pytest.raises(FastStyleError, match="another model.noise, model.skips, objective.tone_weight, "):
        train_in_process("other", *same, "model.noise=true", "model.skips=true", "objective.tone_weight=1")


@pytest.mark.parametrize("max_steps", [1, 2])
def test_steps_that_are_done(train_in_process, tmp_path, stopped, max_steps):
    options = (f"style.image={tmp_path}/mine.png", f"ckpt_path={stopped}", f"max_steps={max_steps}")
    with pytest.raises(FastStyleError, match=f"2 of max_steps={max_steps} steps are done, nothing is left to do"):
        train_in_process("again", *options)
    assert not (tmp_path / "again" / "model.safetensors").exists()


def test_a_run_that_was_killed_between_its_last_step_and_its_model(train_in_process, tmp_path, stopped):
    release = stopped.with_name("model.safetensors")
    before, losses = load_file(release), read_metadata(release)["losses"]
    release.unlink()
    options = (f"style.image={tmp_path}/mine.png", f"ckpt_path={stopped}", "max_steps=2")
    train_in_process("stopped", *options)
    after = read_metadata(release)["losses"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_file(release).items())
    assert after == losses | {"seconds": after["seconds"]} and stopped.with_name("stylized.png").exists()


def test_a_budget_that_is_spent(train_in_process):
    stopped = train_in_process("stopped", "budget=2s")
    with pytest.raises(FastStyleError, match="all of budget=1s is spent, nothing is left to do"):
        train_in_process("again", "budget=1s", f"ckpt_path={stopped / 'last.ckpt'}")
    longer = train_in_process("longer", "budget=3s", f"ckpt_path={stopped / 'last.ckpt'}")
    before, after = (read_metadata(folder / "model.safetensors")["losses"] for folder in (stopped, longer))
    assert after["steps"] > before["steps"] and after["seconds"] > before["seconds"]


def test_seconds_are_those_of_all_parts(compose_config, tmp_path):
    pause = LambdaCallback(on_train_batch_start=lambda *_: time.sleep(0.5))
    first = fit(compose_config("train", *TINY_RUN, "max_steps=1", f"run_dir={tmp_path}/first"), [pause])
    resumed = ("max_steps=2", f"ckpt_path={tmp_path}/first/last.ckpt")
    second = fit(compose_config("train", *TINY_RUN, *resumed, f"run_dir={tmp_path}/second"), [pause])
    assert second.losses["seconds"] >= first.losses["seconds"] + 0.5 >= 1


def test_a_job_that_slurm_starts_again_goes_on(compose_config, tmp_path, monkeypatch):
    """From the checkpoint in its folder, which the first time there is none of, to the very same weights."""
    begun = []

    def train(folder, die_at=None):
        def look(trainer, *_):
            if trainer.global_step == die_at:
                raise InterruptedError
            begun.append(trainer.global_step)

        options = ("max_steps=3", "checkpoint_every=1", f"run_dir={tmp_path / folder}", "init_from=null")
        return fit(compose_config("train", *TINY_RUN, *options), [LambdaCallback(on_train_batch_start=look)]).model

    whole = load_file(train("whole"))
    with pytest.raises(FastStyleError):
        train("job", die_at=2)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    resumed = load_file(train("job"))
    assert begun == [0, 1, 2] + [0, 1] + [2]
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
