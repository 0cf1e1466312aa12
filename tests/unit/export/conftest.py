"""A run's own output, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import photos
import pytest
from PIL import ExifTags, Image

from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.reconstruct import reconstruct


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the embedded model makes of three photographs of a room; not to be changed.

    The photographs lie in ``photos`` beside it; img2.jpg is turned by EXIF, and img3.png is
    transparent at the left.
    """
    folder = tmp_path_factory.mktemp("run")
    views = photos.views(3)
    first, second, _ = photos.write_photos(folder / "photos", views)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(second) as image:
        lying = image.transpose(Image.Transpose.ROTATE_90)
    lying.save(second, quality=95, exif=exif, subsampling=0)
    third = np.dstack([photos.render(views[2]), np.full((240, 320), 255, np.uint8)])
    third[:, :40, 3] = 0
    Image.fromarray(third).save(first.with_name("img3.png"))
    first.with_name("img3.jpg").unlink()
    reconstruct(folder / "photos", folder / "out", ReconstructConfig(report=False))
    return folder / "out"
