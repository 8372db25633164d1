"""How sharp a picture is."""

from __future__ import annotations

import numpy as np
from PIL import Image

LOOKED_AT = 512
"""Pixels of the shorter side: blur counts at the size that is trained at, not at the camera's."""
BLURRED_BELOW = 60.0
"""Our own line drawings of 1000 x 1200 measure 1,100 and more; 86 to 122 after a Gaussian blur
of 2 pixels, which few people notice, and 32 to 45 after one of 3, which everybody sees."""


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of the grey picture (Pech-Pacheco et al., 2000)."""
    scale = LOOKED_AT / min(image.size)
    if scale < 1:
        sides = [max(1, round(side * scale)) for side in image.size]
        image = image.resize((sides[0], sides[1]), Image.Resampling.BOX)
    grey = np.asarray(image.convert("L"), np.float32)
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return round(float(np.var(around - 4 * inner, dtype=np.float64)), 2)
