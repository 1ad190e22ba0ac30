"""Rows of a table as images: their shape, and a grid of them as one image."""

from math import prod

import numpy as np
import numpy.typing as npt

GAP = 1
"""Pixels between two tiles."""


def guess_image_shape(n_values: int) -> tuple[int, int]:
    """Return a square shape if ``n_values`` is a square number, else (1, n_values)."""
    side = round(n_values**0.5)
    return (side, side) if side * side == n_values else (1, n_values)


def check_image_shape(image_shape: tuple[int, ...], n_values: int) -> tuple[int, int, int]:
    """Return (height, width, channels) of images of ``n_values`` values, or raise."""
    if prod(image_shape) != n_values:
        raise ValueError(
            f"`image_shape` must have as many values as X has features ({n_values}); got "
            f"image_shape={image_shape} with {prod(image_shape)}. Give (height, width) or "
            "(height, width, channels) of the images that are the rows of X."
        )
    height, width, *channels = map(int, image_shape)
    return height, width, channels[0] if channels else 1


def tile_images(
    rows: npt.NDArray[np.floating], shape: tuple[int, int, int]
) -> npt.NDArray[np.floating]:
    """Return one image made of a grid of images, (n_down, n_across, n_values), with gaps of nan.

    It has shape (height, width), or for images of three channels (height, width, 4) with an alpha
    channel, which is 0 in the gaps.
    """
    height, width, channels = shape
    down, across, _ = rows.shape
    images = rows.reshape(down, across, height, width, channels)
    if channels == 3:
        images = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
    gaps = [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)]
    padded = np.pad(images, gaps, constant_values=0.0 if channels == 3 else np.nan)
    grid = padded.swapaxes(1, 2).reshape(down * (height + GAP), across * (width + GAP), -1)
    grid = grid[:-GAP, :-GAP]
    return grid.squeeze(-1) if channels == 1 else grid
