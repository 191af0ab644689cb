"""A trained network as a program for other runtimes: ONNX, torch.export's own, ExecuTorch, Core ML.

What is exported paints the same pictures: `differences` says how nearly.
"""

import copy
import importlib.util
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fast_style.data.content import SampleImages
from fast_style.data.images import read_image
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError
from fast_style.inference.phones import Package, coreml_package, coreml_painter, executorch_file, executorch_painter
from fast_style.networks.exportable import COARSE_STEP, FINE_STEP, LevelsNet, PictureNet, exportable
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler

Paint = Callable[..., Tensor]  # as PictureNet: images and, of several styles, a mixture, to images
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "executorch": ".pte", "coreml": ".mlpackage"}
PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "executorch": ("executorch",), "coreml": ("coremltools",)}
PRECISIONS = {
    "onnx": ("float32", "float16", "int8"),
    "torch": ("float32", "float16"),
    "executorch": ("float32",),
    "coreml": ("float32", "float16"),
}
LARGEST = {"executorch": 1024, "coreml": 1024}  # side of an image, of programs that want a limit, by default
SIZES = ((1, 256, 256), (3, 97, 131), (1, 50, 203), (2, 6, 3), (1, 1, 1))  # of what is compared: B, H, W
PHOTO = "chelsea.png"  # which no shipped model was trained on
MOST_LEVELS = 1.0  # of 255, between the pictures of a float32 program and ours
FEWEST = 1000  # values that are worth it
CALIBRATION = {"count": 12, "short_side": 256, "photo_share": 0.5, "seed": 0}  # what ranges of 8 bits are taken from


def check_exportable(network: nn.Module, ckpt: str, form: str, precision: str, max_size: int | None = None) -> None:
    """Raise FastStyleError for what cannot be exported, before the work."""
    if isinstance(network, TextureGenerator | Upscaler):
        kind = "enlarges photos" if isinstance(network, Upscaler) else "draws textures or variants"
        raise FastStyleError(f"ckpt={ckpt} {kind}: models of task=style_transfer and multi_style can be exported")
    if precision not in PRECISIONS[form]:
        others = [other for other, precisions in PRECISIONS.items() if precision in precisions]
        raise FastStyleError(f"precision={precision}: only with format={' or '.join(others)}")
    if form == "coreml" and isinstance(network, MultiStyleNet):  # Core ML's norms and biases are constants
        raise FastStyleError(f"ckpt={ckpt} has several styles: format=coreml takes models of one")
    if max_size is not None and form not in LARGEST:
        raise FastStyleError(f"max_size={max_size}: format={form} takes any size; only {' and '.join(LARGEST)} do not")
    packages = PACKAGES.get(form, ())
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise FastStyleError(f"format={form} needs {', '.join(missing)}: pip install {' '.join(packages)}")


def checked_file(
    network: nn.Module, form: str, precision: str, integer: bool, max_size: int | None = None
) -> tuple[bytes | Package, list["Difference"]]:
    """The file of an exported network, and how nearly it paints what the network does at SIZES.

    What this machine cannot run has no differences. Raises FastStyleError if in float32 it paints something else.
    """
    largest = max_size or LARGEST.get(form)
    program = export_program(network, form, precision, integer, largest)
    styles = [*network.names, *["identity"] * network.identity] if isinstance(network, MultiStyleNet) else []
    match form:
        case "onnx":
            file = onnx_file(program, precision, styles)
        case "torch":
            file = torch_file(program)
        case "executorch":
            file = executorch_file(program, styles)
        case "coreml":
            file = coreml_package(program, precision, integer)
    sizes = [(1, min(height, largest), min(width, largest)) for _, height, width in SIZES] if largest else SIZES
    found = list(differences(PAINTERS[form](file), network, integer, sizes)) if runs_here(form) else []
    worst = max((difference.levels for difference in found), default=0)
    if precision == "float32" and worst > MOST_LEVELS:
        raise FastStyleError(f"not written: the exported network paints something else, {worst:.3g} levels of 255 away")
    return file, found


def runs_here(form: str) -> bool:
    """Whether this machine can run a program."""
    return form != "coreml" or sys.platform == "darwin"


def export_program(
    network: nn.Module, form: str, precision: str, integer: bool, largest: int | None = None
) -> torch.export.ExportedProgram:
    """The program of a network, see PictureNet, of any number of images of any size. Raises FastStyleError.

    largest  side of an image: then it takes one image, for runtimes that want a limit
    """
    own = "float32" if form == "coreml" else precision  # Core ML has its own way to lower it
    network = exportable(copy.deepcopy(network), own, moments=form == "executorch")
    as_levels = form == "coreml" and integer  # what is integer there is no part of the program
    integer = integer and not as_levels
    pictures = (LevelsNet(network) if as_levels else PictureNet(network, integer)).eval()
    shape = (2, 33, 47, 3) if integer else (2, 3, 33, 47)
    limits = {shape.index(33): ("height", largest), shape.index(47): ("width", largest)}
    limits |= {} if largest else {0: ("batch", None)}
    dynamic = {axis: torch.export.Dim(name, min=1, max=most) for axis, (name, most) in limits.items()}
    images = torch.zeros(shape, dtype=torch.uint8 if integer else torch.float32)[: 1 if largest else None]
    several = isinstance(network, MultiStyleNet)
    arguments, shapes = ((images, first_mixture(network)), (dynamic, None)) if several else ((images,), (dynamic,))
    try:
        with torch.no_grad():
            return torch.export.export(pictures, arguments, dynamic_shapes=shapes)
    except Exception as error:  # of any type, from a network of the user's own
        raise FastStyleError(f"torch.export does not take the network: {' '.join(str(error).split())[:300]}") from error


def first_mixture(network: MultiStyleNet) -> Tensor:
    return network.mixture(network.names[0])


def torch_file(program: torch.export.ExportedProgram) -> bytes:
    """What torch.export.load reads."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def onnx_file(program: torch.export.ExportedProgram, precision: str, styles: Sequence[str]) -> bytes:
    """The same program in ONNX: inputs `images` and, of several styles, `mixture`; output `stylized`. Its metadata have
    what the weights of a mixture mean, by name."""
    inputs = ["images", "mixture"][: len(program.graph_signature.user_inputs)]
    exported = torch.onnx.export(program, input_names=inputs, output_names=["stylized"], dynamo=True, verbose=False)
    model = exported.model_proto
    model = with_integers(model) if precision == "int8" else model
    compact(model)
    if styles:
        model.metadata_props.add(key="styles", value=", ".join(styles))
    return model.SerializeToString()


def compact(model) -> None:
    """Store in fewer bits what loses nothing by it, in place: weights of release files, which are float16, and noise.

    A runtime makes float32 of them once, when it loads the model.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in [one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT]:
        values, name = numpy_helper.to_array(tensor), tensor.name
        parts = in_fewer_bits(values) if values.size >= FEWEST else []
        for index, (stored, step) in enumerate(parts):
            part = f"{name}_{index}"
            constants = {f"{part}_stored": stored, f"{part}_step": np.array(step, np.float32)}
            model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
            nodes.append(helper.make_node("Cast", [f"{part}_stored"], [f"{part}_steps"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [f"{part}_steps", f"{part}_step"], [part]))
        if parts:
            nodes.append(helper.make_node("Sum", [f"{name}_{index}" for index in range(len(parts))], [name]))
            model.graph.initializer.remove(tensor)
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def in_fewer_bits(values: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Arrays of fewer bits, each with a step: its multiples add up to the values exactly, or there are none.

    16-bit integers are two of 8 bits, because browsers' graphics runtimes take no others.
    """
    with np.errstate(all="ignore"):  # what does not fit in a type is found out below
        fine = np.rint(values / FINE_STEP).astype(np.int64)
        ways = (
            [((values / COARSE_STEP).astype(np.int8), COARSE_STEP)],
            [(values.astype(np.float16), 1.0)],
            [
                ((fine >> 8).astype(np.int8), 2**8 * FINE_STEP),
                ((fine & 255).astype(np.uint8), FINE_STEP),
            ],
        )
    exact = (way for way in ways if np.array_equal(sum(stored * np.float32(step) for stored, step in way), values))
    return next(exact, [])


def with_integers(model):
    """The model with its convolutions in 8 bits, but for the first, which sees colours, and those of the way up.

    In 8 bits these cost 9 dB and save a fifth of the time. Ranges of activations are those of sample photos and
    procedural images; weights have a scale for each channel.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Photos(CalibrationDataReader):
        def __init__(self):
            self.inputs = calibration_inputs(model)

        def get_next(self) -> dict | None:
            return next(self.inputs, None)

    way_down = takewhile(lambda node: node.op_type not in ("Resize", "ConvTranspose"), model.graph.node)
    convolutions = [node.name for node in way_down if node.op_type == "Conv"]
    add_pre_process_metadata(model)  # torch.onnx has inferred the shapes, which quantize_static would warn about
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_static(
            model,
            path,
            Photos(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=convolutions[1:],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


def calibration_inputs(model) -> Iterator[dict[str, np.ndarray]]:
    """What a model is run on to see the ranges of its features; of several styles each image sees another one."""
    names = [value.name for value in model.graph.input]
    integer = model.graph.input[0].type.tensor_type.elem_type == 2  # TensorProto.UINT8
    side, images = CALIBRATION["short_side"], SampleImages(**CALIBRATION)
    for index in range(len(images)):
        picture = np.ascontiguousarray(images[index][:side, :side])[None]
        inputs = {"images": picture if integer else picture.transpose(0, 3, 1, 2).astype(np.float32) / 255}
        if "mixture" in names:
            count = model.graph.input[1].type.tensor_type.shape.dim[0].dim_value
            inputs["mixture"] = np.eye(count, dtype=np.float32)[index % count]
        yield inputs


def onnx_painter(file: bytes) -> Paint:
    """What an ONNX file paints, by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def paint(*inputs: Tensor) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return paint


def torch_painter(file: bytes) -> Paint:
    """What a program of torch.export paints."""
    return torch.export.load(io.BytesIO(file)).module()


PAINTERS = {
    "onnx": onnx_painter,
    "torch": torch_painter,
    "executorch": executorch_painter,
    "coreml": coreml_painter,
}


class Difference(NamedTuple):
    """Between two pictures of a batch: the largest in levels of 255, and PSNR in dB."""

    shape: tuple[int, int, int]
    levels: float
    psnr: float


@torch.inference_mode()
def differences(paint: Paint, network: nn.Module, integer: bool, sizes: Sequence = SIZES) -> Iterator[Difference]:
    """Between what an exported network paints and what the network itself does, in float32, at each size, B, H, W."""
    photo, own = read_image(sample_photo(PHOTO))[0], PictureNet(network, integer)
    mixture = [first_mixture(network)] if isinstance(network, MultiStyleNet) else []
    for count, height, width in sizes:
        images = torch.stack([photo[:, 20 * place :, :][:, :height, :width] for place in range(count)])
        if integer:
            images = (255 * images).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        one, other = (levels(picture(images, *mixture)) for picture in (paint, own))
        error = (one - other).square().mean()
        psnr = math.inf if error == 0 else float(10 * torch.log10(255**2 / error))
        yield Difference((count, height, width), float((one - other).abs().max()), psnr)


def levels(images: Tensor) -> Tensor:
    return images.float() if images.dtype == torch.uint8 else 255 * images
