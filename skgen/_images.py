"""Rows of a table as images: their shape, and many of them in one."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

GAP = 1
"""Pixels between two tiles."""


def guess_image_shape(n_values: int) -> tuple[int, int]:
    """A square, if ``n_values`` is one, else a strip of height 1."""
    side = round(n_values**0.5)
    return (side, side) if side * side == n_values else (1, n_values)


def check_image_shape(image_shape: tuple[int, ...], n_values: int) -> tuple[int, int, int]:
    """(height, width, channels) of images of ``n_values`` values."""
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
    """One image of rows of images, (n_down, n_across, n_values); what is between them is nan.

    It has shape (height, width), or (height, width, 4) with the alpha channel, if there are
    three channels.
    """
    height, width, channels = shape
    down, across, _ = rows.shape
    images = rows.reshape(down, across, height, width, channels)
    if channels == 3:
        images = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
    room = [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)]
    apart = np.pad(images, room, constant_values=0.0 if channels == 3 else np.nan)
    whole = apart.swapaxes(1, 2).reshape(down * (height + GAP), across * (width + GAP), -1)
    return whole[:-GAP, :-GAP].squeeze(-1) if channels == 1 else whole[:-GAP, :-GAP]
