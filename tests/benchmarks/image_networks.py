"""Two generators of images to compare draws with: a DCGAN, and flow matching in pixels.

Each is trained for given seconds of process time, and returns a function that draws n images, flat
rows of grey levels in [0, 1].
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE, NOISE, N_STEPS = 28, 64, 40
BATCH = 64


def dcgan(
    images: np.ndarray, seconds: float, labels: np.ndarray | None = None, seed: int = 0
) -> Callable[..., np.ndarray]:
    """Train a deep convolutional GAN (Radford, Metz and Chintala, ICLR 2016).

    Both networks are told the class of each image. The function that is returned takes the number
    of draws and their labels. Without labels, all images are of one class.
    """
    torch.manual_seed(seed)
    labels = np.zeros(len(images), int) if labels is None else labels.astype(int)
    x, n_classes = 2 * _as_images(images) - 1, int(labels.max()) + 1
    told = functional.one_hot(torch.from_numpy(labels), n_classes).float()
    generate = nn.Sequential(
        nn.Linear(NOISE + n_classes, 64 * 49), nn.Unflatten(1, (64, 7, 7)), nn.BatchNorm2d(64),
        nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Conv2d(1 + n_classes, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1),
        nn.BatchNorm2d(64), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 49, 1),
    )  # fmt: skip
    for module in (*generate.modules(), *judge.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
    adams = [torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999)) for m in (generate, judge)]

    def loss(rows: Tensor, classes: Tensor, target: float) -> Tensor:
        planes = classes[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        logits = judge(torch.cat([rows, planes], 1))
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    for rows in _batches(len(x), seconds):
        real, classes = x[rows], told[rows]
        fake = generate(torch.cat([torch.randn(len(real), NOISE), classes], 1))
        adams[1].zero_grad()
        (loss(real, classes, 1.0) + loss(fake.detach(), classes, 0.0)).backward()
        adams[1].step()
        adams[0].zero_grad()
        loss(fake, classes, 1.0).backward()
        adams[0].step()

    @torch.no_grad()
    def draw(n: int, labels: np.ndarray | None = None) -> np.ndarray:
        wanted = torch.zeros(n, dtype=int) if labels is None else torch.from_numpy(labels)
        order = torch.randperm(n)  # with statistics of whole batches, as in training
        classes = functional.one_hot(wanted, n_classes).float()[order]
        noise = torch.cat([torch.randn(n, NOISE), classes], 1)
        drawn = torch.cat([generate(part) for part in noise.split(500)])
        return ((drawn[order.argsort()] + 1) / 2).flatten(1).numpy()

    return draw


class Velocity(nn.Module):
    """Small U-Net for the velocity of pixels at a time between 0 (noise) and 1 (data)."""

    def __init__(self) -> None:
        super().__init__()
        self.times = nn.Sequential(nn.Linear(16, 64), nn.SiLU(), nn.Linear(64, 32 + 64))
        self.down = nn.ModuleList(
            [nn.Conv2d(1, 32, 3, 1, 1), nn.Conv2d(32, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)]
        )
        self.middle = nn.ModuleList([nn.Conv2d(64, 64, 3, 1, 1) for _ in range(4)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ConvTranspose2d(64, 32, 4, 2, 1)]
        )
        self.last = nn.Conv2d(64, 1, 3, 1, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.pi * torch.arange(1, 9)
        shifts = self.times(torch.cat([angles.sin(), angles.cos()], 1))[:, :, None, None]
        first = functional.silu(self.down[0](x))
        half = functional.silu(self.down[1](first) + shifts[:, :32])
        low = functional.silu(self.down[2](half) + shifts[:, 32:])
        for one, two in zip(self.middle[::2], self.middle[1::2], strict=True):
            low = low + two(functional.silu(one(functional.silu(low))))
        up = functional.silu(self.up[0](low))
        up = functional.silu(self.up[1](torch.cat([up, half], 1)))
        return self.last(torch.cat([up, first], 1))


def flow_matching(images: np.ndarray, seconds: float, seed: int = 0) -> Callable[[int], np.ndarray]:
    """Train a flow along straight lines from noise to images (Lipman et al., ICLR 2023)."""
    torch.manual_seed(seed)
    velocity = Velocity()
    average = torch.optim.swa_utils.AveragedModel(
        velocity, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)
    )
    adam = torch.optim.Adam(velocity.parameters(), 1e-3)
    data = 2 * _as_images(images) - 1
    for rows in _batches(len(data), seconds):
        x = data[rows]
        noise, t = torch.randn_like(x), torch.rand(len(x))
        at = t[:, None, None, None]
        adam.zero_grad()
        functional.mse_loss(velocity((1 - at) * noise + at * x, t), x - noise).backward()
        adam.step()
        average.update_parameters(velocity)

    @torch.no_grad()
    def draw(n: int) -> np.ndarray:  # by the midpoint rule
        parts, step = [], 1 / N_STEPS
        for part in torch.randn(n, 1, SIDE, SIDE).split(500):
            for i in range(N_STEPS):
                t = torch.full((len(part),), i * step)
                half = part + step / 2 * average(part, t)
                part = part + step * average(half, t + step / 2)
            parts.append((part + 1) / 2)
        return torch.cat(parts).clamp(0, 1).flatten(1).numpy()

    return draw


def _as_images(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows).reshape(-1, 1, SIDE, SIDE)


def _batches(n_rows: int, seconds: float) -> Iterator[Tensor]:
    """Yield indices of batches in random order for some seconds of process time."""
    start = time.process_time()
    while True:
        for rows in torch.randperm(n_rows).split(BATCH):
            if time.process_time() - start > seconds:
                return
            yield rows
