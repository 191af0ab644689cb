"""The sample photos that scikit-image carries: nothing to download."""

from pathlib import Path

import skimage

from fast_style.errors import FastStyleError


def sample_photo(name: str) -> Path:
    """The file of one of scikit-image's sample pictures, such as "chelsea.png".

    It is the one in the package, or one that was fetched before: the functions of skimage.data would go online for
    what is missing, as it is from some builds of scikit-image. Raises FastStyleError for those.
    """
    path = Path(skimage.__file__).parent / "data" / name
    if path.is_file():
        return path
    fetched = Path(skimage.data.data_dir) / name
    if fetched.is_file():
        return fetched
    raise FastStyleError(
        f"{path}: this build of scikit-image leaves it out: pip install --force-reinstall --no-deps scikit-image "
        f"brings it, and so does skimage.data.download_all()"
    )
