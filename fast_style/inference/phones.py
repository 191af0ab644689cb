"""A program of torch.export as a file for phones: ExecuTorch's, with the layers of XNNPACK, and Core ML's."""

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fast_style.writing import write_whole_folder

Package = dict[str, bytes]  # the files of a folder, by their paths in it
DEBUGGING = "executorch_debug_handle_mapping.json"  # which coremltools adds to packages


def executorch_file(program: torch.export.ExportedProgram, styles: Sequence[str]) -> bytes:
    """A .pte file of the method `forward`, of images and, of several styles, a mixture. The constant method `styles`
    has the names of a mixture's weights.

    XNNPACK computes convolutions and what is done pixel by pixel; the rest is left to ExecuTorch's portable kernels.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        # Which does not know torch.sym_max, for which the runtime has an operator.
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
        constant_methods={"styles": ", ".join(styles)} if styles else None,
    )
    return lowered.to_executorch().buffer


def executorch_painter(file: bytes) -> Callable[..., Tensor]:
    """What a .pte file paints, by ExecuTorch's runtime on the CPU."""
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

    _unsafe_reset_threadpool(torch.get_num_threads())
    program = executorch_program(file)
    method = program.load_method("forward")
    # The program lies in the file's memory, and does not keep it: what paints does.
    return lambda *inputs, kept=(file, program): method.execute(inputs)[0]


def executorch_program(file: bytes):
    """The program of a .pte file, as ExecuTorch's runtime has it."""
    from executorch.runtime import Runtime

    return Runtime.get().load_program(file)


def coreml_package(program: torch.export.ExportedProgram, precision: str, integer: bool) -> Package:
    """The .mlpackage of a program of images alone; iOS 16 and macOS 13 are the oldest that take it.

    program    of PictureNet, or of LevelsNet if `integer`: then images in and out are those of the system, in RGB
    precision  float32, or float16, in which convolutions alone compute
    """
    logging.getLogger("coremltools").setLevel(logging.ERROR)  # it warns of every version that it was not tested with
    import coremltools
    from coremltools import ImageType, TensorType
    from coremltools.converters.mil import Builder, register_torch_op
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    def sym_max(context, node):
        """Of integers, which come as floats where they were divided."""
        one, other = (Builder.cast(x=value, dtype="int32") for value in _get_inputs(context, node, expected=2))
        context.add(Builder.maximum(x=one, y=other, name=node.name))

    register_torch_op(sym_max, override=True)
    exact = coremltools.precision.FLOAT32
    half = coremltools.transform.FP16ComputePrecision(op_selector=lambda operation: operation.op_type == "conv")
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        model = coremltools.convert(
            program.run_decompositions({}),
            inputs=[ImageType("images", scale=1 / 255)] if integer else None,
            outputs=[(ImageType if integer else TensorType)("stylized")],
            compute_precision=half if precision == "float16" else exact,
            minimum_deployment_target=coremltools.target.iOS16,
            skip_model_load=True,
        )
    with TemporaryDirectory() as folder:
        root = Path(folder) / "model.mlpackage"
        model.save(str(root))
        files = [path for path in root.rglob("*") if path.is_file() and path.name != DEBUGGING]
        return {str(path.relative_to(root)): path.read_bytes() for path in files}


def coreml_painter(package: Package) -> Callable[..., Tensor]:
    """What a package paints, by Core ML on the CPU; macOS alone can."""
    from coremltools import ComputeUnit
    from coremltools.models import MLModel

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        write_whole_folder(path, package)
        model = MLModel(str(path), compute_units=ComputeUnit.CPU_ONLY)

    def paint(images: Tensor) -> Tensor:
        if images.dtype == torch.uint8:
            picture = model.predict({"images": Image.fromarray(images[0].numpy())})["stylized"]
            return torch.from_numpy(np.array(picture.convert("RGB")))[None]
        return torch.from_numpy(model.predict({"images": images.numpy()})["stylized"])

    return paint
