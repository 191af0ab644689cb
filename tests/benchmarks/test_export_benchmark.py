"""The benchmark of exported models: a row for each side, and differences from eager float32."""

import json

from conftest import ROOT

from benchmarks import export, timing
from benchmarks.export import EXPORTED, main


def test_rows_and_differences(tmp_path, monkeypatch):
    """With stand-ins, which paint a photo brighter by some levels: as many as the name of the precision has letters."""
    monkeypatch.setattr(timing, "SECONDS_A_TURN", 0)
    monkeypatch.setattr(export, "checked_file", lambda network, form, precision, integer: (precision.encode(), []))
    monkeypatch.setattr(export, "INSTALLED", ["onnx", "executorch"])
    monkeypatch.setattr(export, "PACKAGES", {"onnx": (), "executorch": ()})
    brighter = {form: lambda file: lambda images: images + len(file) / 255 for form in ("onnx", "executorch")}
    monkeypatch.setattr(export, "PAINTERS", brighter)
    monkeypatch.setattr(export, "stylize", lambda network, images, precision="": images * (0.9 if precision else 1))
    monkeypatch.setattr(export, "float16_psnr", lambda ckpt, side: 60.0)
    output, picture = tmp_path / "export.json", tmp_path / "export.png"
    ckpt = ROOT / "checkpoints" / "mosaic.safetensors"
    main([f"--ckpt={ckpt}", "--size=48", "--repeats=1", f"--output={output}", f"--picture={picture}"])
    rows = json.loads(output.read_text())["sides"]
    assert picture.is_file() and rows["eager float32"]["psnr"] is None
    for form, precision in EXPORTED:
        row = rows[f"{form} {precision}"]
        assert row["largest_levels"] == len(precision)
        assert row["seconds"]["median"] >= 0 and row["processor_seconds"] >= 0
        assert row["megabytes"] == round(len(precision) / 1e6, 2)
