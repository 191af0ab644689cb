"""Exported networks paint what the networks do: files as other runtimes read them, of any size, and clear errors."""

import importlib.util
import io
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, randomised

from fast_style.checkpoint import FORMAT, load_network, write_safetensors
from fast_style.commands.export import export
from fast_style.errors import FastStyleError
from fast_style.inference import export as exporting
from fast_style.inference.export import compact, export_program, onnx_file, torch_file
from fast_style.inference.phones import executorch_program
from fast_style.inference.stylize import stylize
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet

WHY = "pip install -e '.[export]' brings what ONNX needs"
MODEL = {"channels": [4, 6], "residual_blocks": 1, "kernel_sizes": [3, 3], "upsampling": "bilinear", "noise": True,
         "skips": True}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return randomised(TransformerNet(**MODEL))


@pytest.fixture(scope="module")
def several():
    return randomised(MultiStyleNet(MODEL, ["day", "night"], torch.rand(2, 4), identity=True))


@pytest.fixture
def release(tmp_path):
    """release(network, **metadata) -> the release file of a network."""

    def write(network, **metadata):
        path = tmp_path / "model.safetensors"
        write_safetensors(path, network.state_dict(), {"format": FORMAT, "model": MODEL} | metadata)
        return path

    return write


@pytest.fixture
def run(compose_config, release, network):
    """run(*overrides): export in this process, by default the network of one style."""
    return lambda *overrides, ckpt=None: export(
        compose_config("export", f"ckpt={ckpt or release(network, style={'name': 'mosaic'})}", *overrides)
    )


def test_onnx_of_several_styles(run, release, several, tmp_path, capsys):
    """Bytes in, bytes out, in any mixture."""
    onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
    pytest.importorskip("onnxscript", reason=WHY)
    styles = [{"name": name} for name in several.names]
    run("uint8=true", ckpt=release(several, task="multi_style", styles=styles))
    assert "wrote" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map["styles"] == "day, night, identity"
    for count, height, width in ((1, 64, 64), (3, 37, 50), (1, 1, 1), (2, 5, 90), (1, 101, 7)):
        images = np.random.default_rng(width).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        mixture = several.mixture({"day": 0.3, "night": 0.7}, 0.8)
        painted = session.run(None, {"images": images, "mixture": mixture.numpy()})[0]
        floats = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        expected = stylize(several.transformer_for({"day": 0.3, "night": 0.7}, 0.8), floats)
        assert painted.shape == images.shape and painted.dtype == np.uint8
        assert expected.std() > 0.05, "a picture, not a flat one"
        np.testing.assert_allclose(painted, 255 * expected.permute(0, 2, 3, 1), atol=1)


def test_torch_and_integers(network, monkeypatch):
    """One program: as torch.export has it, the same picture; in 8 bits, nearly."""
    program = export_program(network, "torch", "float32", False)
    loaded = torch.export.load(io.BytesIO(torch_file(program))).module()
    for size in ((64, 64), (37, 50), (1, 1)):
        images = torch.rand(3, 3, *size)
        # A photo of one pixel is nothing but its dither, which the program has in 16 bits.
        torch.testing.assert_close(
            loaded(images), stylize(network, images), rtol=0, atol=4e-3 if size == (1, 1) else 1e-3
        )
    onnx, onnxruntime = pytest.importorskip("onnx", reason=WHY), pytest.importorskip("onnxruntime", reason=WHY)
    pytest.importorskip("onnxscript", reason=WHY)
    monkeypatch.setattr(exporting, "CALIBRATION", exporting.CALIBRATION | {"count": 3, "short_side": 48})
    file = onnx_file(program, "int8", [])
    types = [tensor.data_type for tensor in onnx.load_from_string(file).graph.initializer if len(tensor.dims) == 4]
    assert types.count(onnx.TensorProto.INT8) == len(types) - 3 == 3, "all but the first and those of the way up"
    images = torch.rand(1, 3, 48, 61)
    painted = onnxruntime.InferenceSession(file).run(None, {"images": images.numpy()})[0]
    difference = np.abs(painted - stylize(network, images).numpy())
    assert 0 < difference.mean() < 0.1


def test_executorch_of_several_styles(run, release, several, tmp_path, capsys):
    """Bytes in, bytes out, in any mixture, up to a size; what the command compares is what the file paints."""
    pytest.importorskip("executorch", reason="pip install -e '.[executorch]'")
    styles = [{"name": name} for name in several.names]
    run("format=executorch", "uint8=true", "max_size=64", ckpt=release(several, task="multi_style", styles=styles))
    said = capsys.readouterr().out
    assert "1 x 64x64: at most" in said and "wrote" in said
    file = (tmp_path / "model.pte").read_bytes()
    assert b"XnnpackBackend" in file
    program = executorch_program(file)
    assert program.load_method("styles").execute([]) == ["day, night, identity"]
    method, mixture = program.load_method("forward"), several.mixture({"day": 0.3, "night": 0.7}, 0.8)
    for height, width in ((64, 64), (37, 50), (1, 1)):
        images = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
        painted = method.execute((images, mixture))[0]
        expected = stylize(several.transformer_for({"day": 0.3, "night": 0.7}, 0.8), images.permute(0, 3, 1, 2) / 255)
        assert painted.dtype == torch.uint8 and expected.std() > 0.05, "a picture, not a flat one"
        torch.testing.assert_close(painted.float(), 255 * expected.permute(0, 2, 3, 1), rtol=0, atol=1)


@pytest.mark.parametrize("integer", [True, False], ids=["images", "arrays"])
def test_core_ml(run, tmp_path, capsys, integer):
    """What it says of itself; what it paints can be seen on macOS, where the command itself compares it."""
    coremltools = pytest.importorskip("coremltools", reason="pip install -e '.[coreml]'")
    run("format=coreml", f"uint8={integer}", "max_size=300")
    said = capsys.readouterr().out
    assert ("not checked" in said) != (sys.platform == "darwin") and "wrote" in said
    specification = coremltools.models.MLModel(str(tmp_path / "model.mlpackage"), skip_model_load=True).get_spec()
    (given,), (painted,) = specification.description.input, specification.description.output
    assert (given.name, painted.name) == ("images", "stylized")
    if integer:
        assert given.type.imageType.colorSpace == painted.type.imageType.colorSpace == 20, "RGB"
        limits = given.type.imageType.imageSizeRange
        ranges = [limits.heightRange, limits.widthRange]
    else:
        ranges = given.type.multiArrayType.shapeRange.sizeRanges[2:]
    assert [(one.lowerBound, one.upperBound) for one in ranges] == [(1, 300), (1, 300)]


def test_weights_of_release_files_are_stored_as_they_hold_them():
    onnx = pytest.importorskip("onnx", reason=WHY)
    onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
    generator = np.random.default_rng(0)
    half = generator.normal(size=2000).astype(np.float16).astype(np.float32)
    noise = generator.integers(-(2**15), 2**15, 2000).astype(np.float32) / 2**12
    weights = {"half": half, "noise": noise, "full": generator.normal(size=2000).astype(np.float32), "few": half[:9]}
    outputs = [
        onnx.helper.make_tensor_value_info(f"{name}_out", 1, list(value.shape)) for name, value in weights.items()
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name in weights], "weights", [], outputs,
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    ), opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)  # fmt: skip
    compact(model)
    onnx.checker.check_model(model)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer if tensor.dims}
    types = onnx.TensorProto
    whole = {"full": types.FLOAT, "few": types.FLOAT}
    parts = {"half_0_stored": types.FLOAT16, "noise_0_stored": types.INT8, "noise_1_stored": types.UINT8}
    assert stored == whole | parts
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})
    assert all(np.array_equal(one, value) for one, value in zip(found, weights.values(), strict=True))


@pytest.mark.parametrize("overrides, message", [
    (("format=torch", "precision=int8"), "precision=int8: only with format=onnx"),
    (("format=executorch", "precision=float16"), "precision=float16: only with format=onnx or torch or coreml"),
    (("format=torch", "output=model.onnx"), "ends in .pt2"),
    (("format=onnx", "max_size=512"), "max_size=512: format=onnx takes any size; only executorch and coreml do not"),
    (("format=tensorrt",), "format=tensorrt: choose from onnx, torch, executorch, coreml"),
    (("ckpt=nowhere.safetensors",), "no such file"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(run, overrides, message):
    with pytest.raises(FastStyleError, match=message):
        run(*overrides)


def test_what_is_not_installed_is_named(run, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "onnxscript" else found(name))
    with pytest.raises(FastStyleError, match="format=onnx needs onnxscript: pip install onnx onnxscript onnxruntime"):
        run()


def test_core_ml_takes_one_style(run, release, several):
    ckpt = release(several, task="multi_style", styles=[{"name": name} for name in several.names])
    with pytest.raises(FastStyleError, match="has several styles: format=coreml takes models of one"):
        run("format=coreml", ckpt=ckpt)


def test_models_of_other_tasks_are_refused(run, tmp_path):
    from fast_style.networks.texture_generator import TextureGenerator

    generator = {"channels": [3, 3], "branch_channels": 2, "noise_channels": 1}
    metadata = {"format": FORMAT, "task": "texture", "generator": generator, "style": {"name": "mosaic"}}
    write_safetensors(tmp_path / "t.safetensors", TextureGenerator(**generator).state_dict(), metadata)
    with pytest.raises(FastStyleError, match="draws textures"):
        run(ckpt=tmp_path / "t.safetensors")


def test_a_program_that_paints_something_else_is_not_written(run, monkeypatch, tmp_path):
    monkeypatch.setattr(exporting, "export_program", lambda *_: None)
    monkeypatch.setattr(exporting, "torch_file", lambda *_: b"")
    monkeypatch.setitem(exporting.PAINTERS, "torch", lambda _: lambda images: images)
    with pytest.raises(FastStyleError, match="paints something else, .* levels of 255 away"):
        run("format=torch")
    assert not (tmp_path / "model.pt2").exists()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "checkpoints").glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_models_export(run, path, tmp_path, capsys):
    pytest.importorskip("onnxscript", reason=WHY)
    run(f"output={tmp_path / 'model.onnx'}", ckpt=path)
    assert capsys.readouterr().out.count("of 255") == 5, "none is further than one level, or there were an error"
    assert load_network(path)[1] and (tmp_path / "model.onnx").stat().st_size < 6.5e6
