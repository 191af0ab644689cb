"""What a sweep leaves beside its runs: why a job failed, and the contact sheet of them all."""

from pathlib import Path
from typing import ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fast_style.inference.contact_sheet import write_contact_sheet
from fast_style.inference.runs import FAILURE, find_runs


class Sweep(Callback):
    """Hydra's word on the sweep of this process; with other launchers its jobs run elsewhere."""

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        Sweep.folder = Path(config.hydra.sweep.dir)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: object) -> None:
        if job_return.status == JobStatus.FAILED:
            (Path(config.hydra.runtime.output_dir) / FAILURE).write_text(f"{job_return._return_value}\n")


def end_sweep() -> None:
    """Write the contact sheet of the sweep that has ended, if there was one. Raises FastStyleError."""
    # Not Callback.on_multirun_end, which Hydra leaves out where a job has failed.
    if Sweep.folder and Sweep.folder.is_dir() and find_runs(Sweep.folder):
        picture, page = write_contact_sheet(Sweep.folder)
        print(f"\ncontact sheet  {picture}\n               {page}, to sort")
