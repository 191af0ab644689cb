"""The models of the page in web/, from release files: python scripts/web_models.py [MODEL.safetensors ...]

Writes web/models/NAME.onnx, uint8 in and out, a thumbnail of what it paints, and models.json, which the page reads.
Without arguments: the models of checkpoints/. Those that were there stay, unless one of the same name comes.
"""

import json
import sys
from pathlib import Path

import torch
from rich.progress import track

from fast_style.checkpoint import load_network
from fast_style.data.images import read_image, write_image
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import exit_on_error
from fast_style.inference.export import check_exportable, checked_file
from fast_style.inference.stylize import stylize
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.writing import write_whole

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "web" / "models"
THUMBNAIL = 192  # pixels of its longest side


def add_model(path: Path, folder: Path) -> dict:
    """Write the files of a model, and what the page has to know of it. Raises FastStyleError."""
    network, style = load_network(path)
    check_exportable(network, str(path), "onnx", "float32")
    name = style or path.stem
    several = isinstance(network, MultiStyleNet)
    write_whole(folder / f"{name}.onnx", checked_file(network, "onnx", "float32", integer=True)[0])
    photo = read_image(sample_photo("chelsea.png"), THUMBNAIL)[0]
    styles = network.names if several else [style]
    for one in styles:
        transformer = network.transformer_for(one) if several else network
        write_image(folder / f"{name}_{one}.jpg", stylize(transformer, photo[None])[0])
    return {"name": name, "styles": styles, "several": several, "identity": several and network.identity}


def main(paths: list[str], folder: Path = MODELS) -> None:
    torch.set_grad_enabled(False)
    listed = folder / "models.json"
    known = {model["name"]: model for model in json.loads(listed.read_text())} if listed.is_file() else {}
    if not paths:
        paths = sorted((ROOT / "checkpoints").glob("*.safetensors"))
    for path in track(paths, "exporting"):
        model = add_model(Path(path), folder)
        known[model["name"]] = model
        write_whole(listed, json.dumps(list(known.values()), indent=1).encode())
    print(f"wrote {folder}, {len(paths)} models of {len(known)}: python -m http.server --directory web")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
