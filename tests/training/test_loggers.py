"""What a training leaves with a logger of another package."""

import pytest
from conftest import TINY_RUN


def test_mlflow_has_losses_config_previews_and_model(compose_config, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason='needs MLflow: pip install -e ".[mlflow]"')
    from mlflow.tracking import MlflowClient

    from fast_style.training.fit import fit

    monkeypatch.chdir(tmp_path)
    options = ("logger=mlflow", "style=mosaic", "max_steps=2", "preview_every=1", "init_from=null")
    losses = fit(compose_config("train", *TINY_RUN, *options, f"run_dir={tmp_path / 'run'}")).losses
    client = MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("fast-style").experiment_id])
    assert run.info.run_name == "mosaic" and run.info.status == "FINISHED"
    assert run.data.metrics["val/total_loss"] == pytest.approx(losses["val/total_loss"])
    assert run.data.params["config/style/name"] == "mosaic"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["model.safetensors", "previews"]
    previews = [file.path for file in client.list_artifacts(run.info.run_id, "previews")]
    assert previews == [f"previews/{path.name}" for path in sorted((tmp_path / "run" / "previews").iterdir())]
