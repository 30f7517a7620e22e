"""What the scanner adds to a stack (D, H, W): beam hardening, motion, head holder, scalp swelling, kernel, noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from hemobench.datasets.phantom.noise import generator

SMALL = 80
ANGLES = 60


def _rotated(stack: torch.Tensor, angle: float) -> torch.Tensor:
    """Slices turned about their centre. (D, N, N) -> (D, N, N)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    theta = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]])
    grid = F.affine_grid(theta, [1, 1, *stack.shape[1:]], align_corners=False)
    return F.grid_sample(stack[None], grid, align_corners=False)[0]


def _ramp_filtered(sinogram: torch.Tensor) -> torch.Tensor:
    length = 2 * sinogram.shape[-1]
    frequency = torch.fft.rfftfreq(length)
    ramp = 2 * frequency * torch.cos(math.pi * frequency) ** 2  # a Hann window keeps few angles from showing as streaks
    return torch.fft.irfft(torch.fft.rfft(sinogram, n=length) * ramp, n=length)[..., : sinogram.shape[-1]]


def beam_hardening(hu: torch.Tensor, strength_hu: float) -> torch.Tensor:
    """Error (HU) that a beam hardened by bone leaves in filtered back-projection: dark bands between dense bones.

    The second-order term of the line integral through bone, -(path length)^2, is back-projected at low resolution and
    scaled so that the darkest 1% of soft tissue is `strength_hu` too low. hu: (D, H, W); returns the same shape.
    Source: the bone correction of Joseph and Spital, J Comput Assist Tomogr 2:100 (1978), run backwards.
    """
    size = hu.shape[1:]
    small = F.adaptive_avg_pool2d(hu[None], (SMALL, SMALL))[0]
    bone = ((small - 250) / 1000).clamp(0, 1.5)
    error = torch.zeros_like(small)
    for step in range(ANGLES):
        angle = math.pi * step / ANGLES
        path = _rotated(bone, angle).sum(dim=1)
        profile = _ramp_filtered(-(path**2))
        error += _rotated(profile[:, None, :].expand_as(small).contiguous(), -angle)
    soft = (small > -50) & (small < 150)
    if not bool(soft.any()):
        return torch.zeros_like(hu)
    dark = -torch.quantile(error[soft], 0.01)
    error = (error * (strength_hu / dark.clamp(min=1e-6))).clamp(-2.5 * strength_hu, 1.5 * strength_hu)
    return F.interpolate(error[None], size=size, mode="bilinear", align_corners=False)[0]


def move(hu: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A patient who moved during a few slices: each of them is two poses in one, with the ghost edges that leaves."""
    moved = hu.clone()
    first = int(rng.integers(0, max(1, hu.shape[0] - 3)))
    for index in range(first, min(hu.shape[0], first + int(rng.integers(1, 5)))):
        angle = float(rng.normal(0, 0.03))
        shift = int(rng.integers(-3, 4))
        other = torch.roll(_rotated(hu[index : index + 1] + 1000, angle)[0] - 1000, shift, dims=-1)
        share = float(rng.uniform(0.25, 0.5))
        moved[index] = (1 - share) * hu[index] + share * other
    return moved


def head_holder(hu: torch.Tensor, pixel_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """The shell of the head rest: a thin dense arc behind the head, running out of the picture, foam in front of it;
    drawn over air only."""
    rows, columns = hu.shape[1:]
    y = (torch.arange(rows, dtype=torch.float32) - rows / 2).reshape(-1, 1) * pixel_mm
    x = (torch.arange(columns, dtype=torch.float32) - columns / 2).reshape(1, -1) * pixel_mm
    centre_y, centre_x = float(rng.uniform(-45, 10)), float(rng.normal(0, 6))
    width, depth = float(rng.uniform(104, 150)), float(rng.uniform(108, 130)) - min(centre_y, 0.0)
    radius = (((x - centre_x) / width) ** 2 + ((y - centre_y) / depth) ** 2).sqrt()
    wall = float(rng.uniform(1.5, 4.0)) / width
    behind = y > float(rng.uniform(-40, 40))
    shell = ((radius - 1).abs() < wall / 2) & behind
    foam = (radius < 1 - wall / 2) & behind
    holder = torch.full_like(radius, -1000.0)
    holder[foam] = float(rng.uniform(-995, -950))
    holder[shell] = float(rng.uniform(-250, 250))
    return torch.maximum(hu, holder)


def reconstruct(
    hu: torch.Tensor, pixel_mm: float, sharpness: float, noise_hu: float, rng: np.random.Generator
) -> torch.Tensor:
    """Apply a kernel's transfer function and correlated noise of a given standard deviation inside the head.

    Noise has the power spectrum of filtered back-projection, rising with frequency and cut by the kernel (Riederer,
    Pelc and Chesler, Phys Med Biol 23:446, 1978), and is weaker near the skin than at the centre.
    """
    rows, columns = hu.shape[1:]
    fy = torch.fft.fftfreq(rows, d=pixel_mm).reshape(-1, 1)
    fx = torch.fft.rfftfreq(columns, d=pixel_mm).reshape(1, -1)
    frequency = (fy**2 + fx**2).sqrt()
    cutoff = 0.30 + 0.33 * sharpness  # cycles per mm at 1/e: soft brain kernel to sharp bone kernel
    transfer = torch.exp(-((frequency / cutoff) ** 2)) * (1 + 1.1 * sharpness * (frequency / 0.4) ** 2)
    smooth = torch.fft.irfft2(torch.fft.rfft2(hu) * transfer, s=(rows, columns))
    white = torch.randn(hu.shape, generator=generator(rng))
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * (frequency.sqrt() * transfer.sqrt()), s=(rows, columns))
    y = torch.linspace(-1, 1, rows).reshape(-1, 1)
    x = torch.linspace(-1, 1, columns).reshape(1, -1)
    profile = 0.65 + 0.5 * torch.exp(-1.5 * (x * x + y * y))
    return smooth + shaped * (noise_hu / shaped.std()) * profile


def swell_scalp(hu: torch.Tensor, depth_mm: torch.Tensor, bump_mm: torch.Tensor, blood_hu: float) -> torch.Tensor:
    """Scalp haematoma: soft tissue lifted off the skull by `bump_mm`, 0 away from it. Shapes broadcast."""
    outside = -depth_mm
    amount = torch.sigmoid((bump_mm - (outside - 7.0).clamp(min=0)) / 0.6) * (bump_mm > 0.5) * (outside > 4)
    return torch.where(hu < 120, hu + amount * (blood_hu - hu), hu)
