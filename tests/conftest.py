"""What several test files share: random VGG weights, a local web server, photos, a tiny training run."""

import contextlib
import functools
import http.server
import os
import runpy
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from torchvision.models.vgg import cfgs, make_layers

from fast_style.commands import folder_of

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT))  # the benchmarks and the scripts are no part of the package
if "PYTEST_XDIST_WORKER" in os.environ:  # a core each: threads that wait for one another's cores spin
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

CHANNELS = {
    "vgg16": cfgs["D"],
    "vgg19": cfgs["E"],
    # Fewer channels, in the same layout.
    "quarter_vgg16": [16, 16, "M", 32, 32, "M", 64, 64, 64, "M", 128, 128, 128, "M", 128, 128, 128, "M"],
    "tiny_vgg19": [4, 4, "M", 6, 6, "M", 8, 8, 8, 8, "M", 10, 10, 10, 10, "M", 10, 10, 10, 10, "M"],
    "tiny_vgg16": [4, 4, "M", 6, 6, "M", 8, 8, 8, "M", 10, 10, 10, "M", 10, 10, 10, "M"],
}

# Makes a run small: `python train.py` takes seconds.
TINY_RUN = (
    "image_size=32",
    "batch_size=2",
    "data.count=8",
    "style.style_size=64",
    "model.channels=[4,8]",
    "model.residual_blocks=1",
    "model.coarse_blocks=0",
    "precision=32-true",
    "trainer.accelerator=cpu",
)


def randomised(network):
    """A network, its parameters moved so far that every part of it counts, to evaluate."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += torch.empty_like(parameter).normal_(0, 0.2, generator=generator)
    return network.eval()


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore:.*LeafSpec:FutureWarning")  # Lightning's own, on every fit


def pytest_collection_modifyitems(config, items):
    if "slow" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes more than half a minute: pytest -m slow runs it"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Photos, paintings and weights that are no part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is missing: no check against real photos, paintings and VGG features")
    return SHARED


@pytest.fixture(scope="session")
def vgg(tmp_path_factory):
    """vgg(name) -> (torchvision's own nn.Sequential with random weights, a file of its state dict)."""

    @functools.cache
    def build(name: str) -> tuple[torch.nn.Sequential, Path]:
        generator = torch.Generator().manual_seed(0)
        features = make_layers(CHANNELS[name]).eval()
        for parameter in features.parameters():
            if parameter.ndim == 4:  # keeps the scale of the activations from layer to layer
                torch.nn.init.kaiming_normal_(parameter, generator=generator)
            else:
                torch.nn.init.normal_(parameter, std=0.1, generator=generator)
        path = tmp_path_factory.mktemp("vgg") / f"{name}.pth"
        torch.save({f"features.{key}": tensor for key, tensor in features.state_dict().items()}, path)
        return features, path

    return build


@pytest.fixture
def serve():
    """serve(folder) -> context manager that gives the URL of a web server for that folder, on this machine only."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    @contextlib.contextmanager
    def server(folder: Path):
        with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
        ) as httpd:
            threading.Thread(target=httpd.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{httpd.server_port}"
            httpd.shutdown()

    return server


@pytest.fixture
def chromium():
    """A headless browser, with a camera that shows a test picture."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright drives a browser")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("there is no Chromium: apt-get install chromium")
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def photo():
    """photo(path, height, width) writes smooth random colours and returns the path."""

    def write(path: Path, height: int, width: int, mode: str = "RGB", seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng([seed, height, width]).integers(0, 256, (4, 4, 4), dtype=np.uint8)
        picture = Image.fromarray(coarse, "RGBA").resize((width, height), Image.Resampling.BICUBIC)
        picture.convert(mode).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def compose_config():
    """compose_config(name, *overrides): a config as the command line would build it."""
    import fast_style.commands  # noqa: F401 - has what the configs call

    def build(name: str, *overrides: str, **options):
        with initialize_config_dir(str(folder_of(name)), version_base="1.3"):
            return compose(name, list(overrides), **options)

    return build


def run_command(*arguments: str | Path, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run `python ARGUMENTS` as a user would; stdout and stderr are text."""
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="session")
def run():
    return run_command


@pytest.fixture
def run_here(monkeypatch, capfd):
    """run_here(script, *overrides): as `run`, but in this process, which saves the seconds that imports take."""

    def run(script, *overrides):
        monkeypatch.setattr(sys, "argv", [str(ROOT / script), *overrides])
        GlobalHydra.instance().clear()
        code = 0
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        finally:
            GlobalHydra.instance().clear()
        stdout, stderr = capfd.readouterr()
        if isinstance(code, str):  # which the interpreter prints
            code, stderr = 1, f"{stderr}{code}\n"
        return subprocess.CompletedProcess(sys.argv, code, stdout, stderr)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The folder of a finished `python train.py`, four steps long."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ("style=starry_night", "max_steps=4", "preview_every=2", *TINY_RUN, "image_size=64")
    arguments += ("model.coarse_blocks=1",)
    finished = run_command("train.py", *arguments, f"hydra.run.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    (folder / "stdout.txt").write_text(finished.stdout)
    return folder


@pytest.fixture
def train_in_process(compose_config, tmp_path):
    """train_in_process(*overrides) -> the folder of a tiny run in this process."""
    from fast_style.training.fit import fit

    def run(folder: str, *overrides: str) -> Path:
        fit(compose_config("train", *TINY_RUN, *overrides, f"run_dir={tmp_path / folder}"))
        return tmp_path / folder

    return run
