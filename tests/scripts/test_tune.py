"""Which weights: a search that is tiny, goes on where it was, and refuses what cannot be compared."""

import pytest
from conftest import TINY_RUN
from omegaconf import OmegaConf

from fast_style.checkpoint import read_metadata

optuna = pytest.importorskip("optuna", reason='no Optuna: pip install -e ".[optuna]"')

SEARCH = ("scripts/tune.py", *TINY_RUN, "init_from=null", "max_steps=1", "objective.style_weight=interval(1,4)")


def test_a_search_goes_on(run_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run_here(*SEARCH, "objective.tv_weight=0,5", "--trials", "1")
    assert first.returncode == 0, first.stderr
    again = run_here(*SEARCH, "objective.tv_weight=0,5", "--trials", "2")
    assert again.returncode == 0 and "trial 2 of 2" in again.stdout and "trial 1 of" not in again.stdout, again.stderr
    folder = tmp_path / "outputs" / "tune" / "starry_night"
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{folder}/study.db")
    for trial in study.trials:
        metadata = read_metadata(folder / f"{trial.number:03d}" / "model.safetensors")
        objective, losses = metadata["config"]["objective"], metadata["losses"]
        assert objective["style_weight"] == pytest.approx(trial.params["objective.style_weight"], rel=1e-2)
        assert (
            1 <= objective["style_weight"] <= 4 and str(objective["tv_weight"]) == trial.params["objective.tv_weight"]
        )
        assert trial.value == losses["val/distance_to_ideal"]
        said = OmegaConf.load(folder / f"{trial.number:03d}" / ".hydra" / "overrides.yaml")
        assert f"objective.tv_weight={objective['tv_weight']}" in said, "what the contact sheet shows"
    best = min(study.trials, key=lambda trial: trial.value)
    assert f"objective.tv_weight={best.params['objective.tv_weight']}\n" in again.stdout.split("Train it in full:")[1]
    assert "max_steps" not in again.stdout.split("Train it in full:")[1]
    assert (folder / "contact_sheet.html").exists()
    other = run_here(*SEARCH, "objective.tv_weight=0,7", "--trials", "2")
    assert other.returncode == 1 and "holds a search with other keys" in other.stderr
    assert len(list(folder.glob("[0-9]*"))) == 2


@pytest.mark.parametrize("key, parts", [
    ("style=mosaic,ink_wash", ["style=mosaic,ink_wash: the trials could not be compared"]),
    ("objective.style_layers=[relu1_1],[relu2_1]", ["could not be compared"]),
    ("objective.stile_weight=1,2", ["objective.stile_weight: no such key", "objective.style_weight="]),
    ("style.image=/no/such.jpg", ["style.image=/no/such.jpg: no such file"]),
])  # fmt: skip
def test_what_cannot_be_searched_is_one_line(run_here, tmp_path, key, parts):
    finished = run_here(*SEARCH, key, "--trials", "5", f"--folder={tmp_path}/search")
    assert finished.returncode == 1 and finished.stderr.count("error: ") == 1, finished.stderr
    assert all(part in finished.stderr for part in parts) and "trial 2" not in finished.stdout
