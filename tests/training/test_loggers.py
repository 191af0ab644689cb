"""What a training leaves with a logger of another package, and what one that fails costs: nothing of the training."""

import http.server
import threading

import pytest
from conftest import TINY_RUN
from pytorch_lightning.callbacks import LambdaCallback
from safetensors.torch import load_file

from fast_style.training.fit import fit
from fast_style.training.loggers import Unfailing

OPTIONS = ("style=mosaic", "preview_every=1", "init_from=null", "trainer.log_every_n_steps=1")


def test_mlflow_has_losses_config_previews_and_model(compose_config, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason='needs MLflow: pip install -e ".[mlflow]"')
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    options = ("logger=mlflow", "max_steps=2", *OPTIONS)
    losses = fit(compose_config("train", *TINY_RUN, *options, f"run_dir={tmp_path / 'run'}")).losses
    client = MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("fast-style").experiment_id])
    assert run.info.run_name == "mosaic" and run.info.status == "FINISHED"
    assert run.data.metrics["val/total_loss"] == pytest.approx(losses["val/total_loss"])
    assert run.data.params["config/style/name"] == "mosaic"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["model.safetensors", "previews"]
    previews = [file.path for file in client.list_artifacts(run.info.run_id, "previews")]
    assert previews == [f"previews/{path.name}" for path in sorted((tmp_path / "run" / "previews").iterdir())]


@pytest.fixture(scope="module")
def undisturbed(compose_config, tmp_path_factory):
    """The release file of three steps."""
    run_dir = tmp_path_factory.mktemp("undisturbed")
    return fit(compose_config("train", *TINY_RUN, "max_steps=3", *OPTIONS, f"run_dir={run_dir}")).model


@pytest.fixture
def refusing_server():
    """The address of a server that answers every request with an error, and whether it was asked."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.set()
            self.send_error(503)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    asked = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()


def check_nothing_was_lost(cfg, said, undisturbed, capfd, *callbacks):
    """A training ends as it would have without the failure, which is said and is in its log."""
    trained = fit(cfg, callbacks)
    weights, expected = load_file(trained.model), load_file(undisturbed)
    assert all((weights[name] == expected[name]).all() for name in weights | expected) and trained.picture.exists()
    lines = [line for line in capfd.readouterr().out.splitlines() if "no reason to stop" in line]
    log = (trained.model.parent / "train.log").read_text()
    assert lines and all(said in line and line in log for line in lines)


def test_a_full_disk_under_the_table_of_losses(compose_config, tmp_path, undisturbed, capfd):
    def fill_disk(trainer, module, *_):
        if trainer.global_step == 2:
            table = tmp_path / "run" / "logs" / "version_0" / "metrics.csv"
            table.unlink()
            table.symlink_to("/dev/full")

    cfg = compose_config("train", *TINY_RUN, "max_steps=3", *OPTIONS, f"run_dir={tmp_path / 'run'}")
    full = LambdaCallback(on_train_batch_start=fill_disk)
    check_nothing_was_lost(cfg, "CSVLogger: [Errno 28] No space left on device; ", undisturbed, capfd, full)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it writes in a thread
def test_a_full_disk_under_tensorboard(compose_config, tmp_path, undisturbed, capfd, monkeypatch):
    record_writer = pytest.importorskip(
        "tensorboard.summary.writer.record_writer", reason='needs TensorBoard: pip install -e ".[tensorboard]"'
    )
    write, written = record_writer.RecordWriter.write, []

    def write_until_full(self, data):
        written.append(data)
        if len(written) > 8:
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(record_writer.RecordWriter, "write", write_until_full)
    options = (*TINY_RUN, "logger=tensorboard", "max_steps=3", *OPTIONS, f"run_dir={tmp_path / 'run'}")
    check_nothing_was_lost(compose_config("train", *options), "TensorBoardLogger: ", undisturbed, capfd)
    assert len(written) > 8


def test_a_server_of_mlflow_that_is_down(compose_config, tmp_path, undisturbed, capfd, monkeypatch, refusing_server):
    pytest.importorskip("mlflow", reason='needs MLflow: pip install -e ".[mlflow]"')
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address, asked = refusing_server
    options = (*TINY_RUN, "logger=mlflow", f"logger.tracking_uri={address}", "max_steps=3", *OPTIONS)
    cfg = compose_config("train", *options, f"run_dir={tmp_path / 'run'}")
    check_nothing_was_lost(cfg, "MLFlowLogger: ", undisturbed, capfd)
    assert asked.is_set()


def test_a_logger_that_fails_is_left_alone_for_a_while(monkeypatch, capfd):
    clock, asked = 0.0, []
    monkeypatch.setattr("fast_style.training.loggers.time.monotonic", lambda: clock)

    class Failing:
        def log_metrics(self, metrics, step):
            asked.append(step)
            raise ConnectionError("the server has gone\nat length")

    logger = Unfailing(Failing())
    for clock in range(500):
        logger.log_metrics({}, clock)
    assert asked == [0, 60, 180, 420]
    said = [line for line in capfd.readouterr().out.splitlines() if line]
    assert said[0] == "Failing: the server has gone; no reason to stop, the next 60 seconds are not logged"
    assert len(said) == 4
