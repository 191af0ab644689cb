"""Export a model for other runtimes: python -m fast_style.commands.export ckpt=model.safetensors format=onnx"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fast_style.checkpoint import find_model, load_network
from fast_style.commands import run
from fast_style.commands.infer import import_modules
from fast_style.data.images import check_folder
from fast_style.errors import FastStyleError
from fast_style.inference.export import SUFFIXES, check_exportable, checked_file, runs_here
from fast_style.keys import Export, check_keys
from fast_style.writing import write_whole, write_whole_folder


def target(config: dict) -> Path:
    """The file to write: that of output=, or beside the model."""
    suffix, precision = SUFFIXES[config["format"]], config["precision"]
    if config["output"] is None:
        model = find_model(config["ckpt"])
        return model.with_name(f"{model.stem}{'' if precision == 'float32' else f'_{precision}'}{suffix}")
    if Path(config["output"]).suffix != suffix:
        raise FastStyleError(f"output={config['output']}: format={config['format']} is a file that ends in {suffix}")
    return Path(config["output"])


def export(cfg: DictConfig) -> None:
    """Write the program, and say how nearly it paints what the model does. Raises FastStyleError if it does not."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, Export)
    form, precision, integer, most = config["format"], config["precision"], config["uint8"], config["max_size"]
    import_modules(config["modules"])
    output, (network, _) = target(config), load_network(config["ckpt"])
    check_exportable(network, config["ckpt"], form, precision, most)
    check_folder(f"output={output}", output.parent)
    with Console().status("exporting"):
        file, differences = checked_file(network, form, precision, integer, most)
    for (count, height, width), levels, psnr in differences:
        print(f"{count} x {width}x{height}: at most {levels:.2g} of 255 from the model's picture, {psnr:.1f} dB")
    if not runs_here(form):
        print(f"not checked: what format={form} paints can be seen on macOS alone, where this command compares it")
    folder = isinstance(file, dict)
    (write_whole_folder if folder else write_whole)(output, file)
    print(f"wrote {output}, {(sum(map(len, file.values())) if folder else len(file)) / 1e6:.1f} MB")


def main() -> None:
    run("export", export)


if __name__ == "__main__":
    main()
