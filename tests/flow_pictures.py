"""Flow pictures as other programs leave them, each of one code."""

import cv2
import numpy as np


def picture(path, code=128, height=16, width=24):
    """Writes a picture of one code; at quality 100 a JPEG keeps it exactly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((height, width), code, np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, image, quality)[1])
    return path
