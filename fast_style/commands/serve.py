"""Stylise pictures that come by HTTP: fast-style-serve models=checkpoints"""

import warnings

from omegaconf import DictConfig, OmegaConf
from PIL import Image

from fast_style.commands import run
from fast_style.errors import FastStyleError
from fast_style.hardware import share_freed_memory
from fast_style.keys import Serve, check_keys


def serve(cfg: DictConfig) -> None:
    """Load the models, and answer until Ctrl-C. Raises FastStyleError."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, Serve)
    try:
        import uvicorn

        from fast_style.inference.service import build_app, load_styles
    except ImportError as error:
        raise FastStyleError(f'fast-style-serve needs FastAPI ({error}): pip install "fast-style[serve]"') from error
    share_freed_memory()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # which are refused by their pixels
    app = build_app(load_styles(config["models"], config["device"], config["precision"]), config)
    print(f"http://{config['host']}:{config['port']}/docs shows how to ask", flush=True)
    uvicorn.run(app, host=config["host"], port=config["port"], log_level="warning")


def main() -> None:
    run("serve", serve)


if __name__ == "__main__":
    main()
