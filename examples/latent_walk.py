"""
A walk through latent space
===========================

Codes between those of two digits are decoded to images between them. Each picture below walks along
a closed curve through the codes of eight digits, so that they turn into one another.

.. image:: ../images/walk.gif
   :alt: Fifteen handwritten digits that turn into other digits

The animation is made by ``python examples/latent_walk.py FILE --out FOLDER``, which takes minutes.
FILE is an npz file with images ``x_train``, (n, height, width) of grey levels 0 to 255, here MNIST.
Without a file, scikit-learn's small digits are taken; without ``--out``, no animation is written.
"""

# %%
# Fit
# ---

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline
from sklearn.datasets import load_digits

from skgen import VAETransformer
from skgen.plotting import SamplesDisplay

parser = argparse.ArgumentParser(description="A walk through latent space.")
parser.add_argument("file", type=Path, nargs="?", help="npz with x_train")
parser.add_argument("--out", type=Path, help="folder for walk.gif")
options = parser.parse_args()
images = np.load(options.file)["x_train"] / 255 if options.file else load_digits().images / 16
X = images.reshape(len(images), -1).astype(np.float32)
vae = VAETransformer(
    8, likelihood="bernoulli", hidden_layer_sizes=(300, 300), max_iter=30, random_state=0
).fit(X)

# %%
# Walk
# ----
# A periodic cubic spline goes through the codes of the digits, at equal steps of the parameter.

N_WALKS, N_STOPS, N_STEPS = 15, 8, 9
rng = np.random.default_rng(3)
codes = vae.transform(X[rng.choice(len(X), (N_STOPS, N_WALKS)).ravel()])
stops = codes.reshape(N_STOPS, N_WALKS, -1)
curve = CubicSpline(np.arange(N_STOPS + 1), np.concatenate([stops, stops[:1]]), bc_type="periodic")
path = curve(np.arange(N_STOPS * N_STEPS) / N_STEPS)
frames = vae.inverse_transform(path.reshape(-1, path.shape[-1])).reshape(*path.shape[:2], -1)

# %%
# Each row is one walk: from its first digit by way of three others.

SamplesDisplay(images=frames[: 3 * N_STEPS + 1 : 2, :5].swapaxes(0, 1)).plot(cmap="gray_r")

# %%
# Animate
# -------

if options.out:
    height, width = images.shape[1:]
    tiles = frames.reshape(len(frames), 3, 5, height, width).swapaxes(2, 3)
    levels = 255 * (1 - tiles.reshape(len(frames), 3 * height, 5 * width))
    pictures = [
        Image.fromarray(sheet).resize((10 * width, 6 * height)).quantize(16)
        for sheet in levels.astype(np.uint8)
    ]
    pictures[0].save(
        options.out / "walk.gif", save_all=True, append_images=pictures[1:], duration=80, loop=0
    )
