"""Losses of logits against targets of the same shape, (B, K) or (B, K, ...), each made by name.

All arithmetic is float32, also under bf16 autocast. Dice, Tversky and focal are MONAI's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hemobench.errors import UserError, unknown_name
from hemobench.labels import UNKNOWN
from hemobench.weighting import ClassWeights


class Loss(nn.Module):
    """Base of all losses: checks shapes, leaves autocast, calls `compute` in float32."""

    def __init__(self, weights: ClassWeights | None = None) -> None:
        super().__init__()
        neutral = torch.ones(1)
        # Weights belong to the run's config, not to a checkpoint's parameters.
        self.register_buffer("negative", neutral if weights is None else weights.negative.float(), persistent=False)
        self.register_buffer("positive", neutral if weights is None else weights.positive.float(), persistent=False)
        self.negative: Tensor
        self.positive: Tensor

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of logits (B, K, ...) against targets of the same shape with values in [0, 1]."""
        if logits.shape != targets.shape:
            raise ValueError(f"logits {tuple(logits.shape)} against targets {tuple(targets.shape)}; one shape expected")
        if self.negative.numel() not in (1, logits.shape[1]):
            raise ValueError(f"weights for {self.negative.numel()} outputs, logits have {logits.shape[1]}")
        with torch.autocast(device_type=logits.device.type, enabled=False):
            return self.compute(logits.float(), targets.float())

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss itself, on float32 tensors."""
        raise NotImplementedError

    def weight_map(self, weights: Tensor, like: Tensor) -> Tensor:
        """Weights (K,) shaped to broadcast over (B, K, ...)."""
        return weights.view(1, -1, *[1] * (like.ndim - 2))


class WeightedBCE(Loss):
    """mean(-(w_pos * y * log p + w_neg * (1 - y) * log(1 - p))) over all elements, p the sigmoid of the logit.

    Not divided by the sum of the weights: with [0.2, 0.8] this is the paper's Keras loss.
    """

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        positive = self.weight_map(self.positive, logits) * targets * F.softplus(-logits)
        negative = self.weight_map(self.negative, logits) * (1 - targets) * F.softplus(logits)
        return (positive + negative).mean()


class Focal(Loss):
    """Focal loss (Lin et al., ICCV 2017): the class-weighted BCE terms times (1 - p_t)^gamma.

    `alpha` in [0, 1] weighs positives by alpha and negatives by 1 - alpha; None leaves them equal.
    """

    def __init__(self, weights: ClassWeights | None = None, *, gamma: float = 2.0, alpha: float | None = None) -> None:
        from monai.losses import FocalLoss

        super().__init__(weights)
        if gamma < 0 or (alpha is not None and not 0 <= alpha <= 1):
            raise UserError(
                f"focal with gamma={gamma}, alpha={alpha}; expected gamma >= 0 and alpha in [0, 1] or none; try gamma=2"
            )
        self.focal = FocalLoss(gamma=gamma, alpha=alpha, reduction="none")

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        weights = self.weight_map(self.positive, logits) * targets + self.weight_map(self.negative, logits) * (
            1 - targets
        )
        terms: Tensor = self.focal(logits, targets)
        return (weights * terms).mean()


class Dice(Loss):
    """1 - soft Dice of each output, averaged over outputs.

    With `batch` (the default) sums run over the batch too: a patch without a lesion then adds its false positives
    instead of a constant 1. Without it, Dice is taken case by case. (B, K) logits always pool over the batch.
    """

    def __init__(self, weights: ClassWeights | None = None, *, batch: bool = True, smooth: float = 1e-5) -> None:
        from monai.losses import DiceLoss

        super().__init__()
        _refuse_weights("dice", weights)
        self.dice = DiceLoss(sigmoid=True, batch=batch, smooth_nr=smooth, smooth_dr=smooth)

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.dice(*_with_space(logits, targets))
        return value


class DiceBCE(Loss):
    """`dice_weight` * soft Dice + `bce_weight` * weighted BCE; class weights act on the BCE."""

    def __init__(
        self,
        weights: ClassWeights | None = None,
        *,
        dice_weight: float = 1.0,
        bce_weight: float = 1.0,
        batch: bool = True,
    ) -> None:
        super().__init__(weights)
        self.dice, self.bce = Dice(batch=batch), WeightedBCE(weights)
        self.dice_weight, self.bce_weight = dice_weight, bce_weight

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.dice_weight * self.dice.compute(logits, targets) + self.bce_weight * self.bce.compute(
            logits, targets
        )


class Tversky(Loss):
    """1 - TP / (TP + alpha FP + beta FN) (Salehi et al., 2017); alpha = beta = 0.5 is Dice.

    The default alpha = 0.3, beta = 0.7 makes a missed voxel cost more than a false one. `batch` as in Dice.
    """

    def __init__(
        self,
        weights: ClassWeights | None = None,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        batch: bool = True,
        smooth: float = 1e-5,
    ) -> None:
        from monai.losses import TverskyLoss

        super().__init__()
        _refuse_weights("tversky", weights)
        if alpha < 0 or beta < 0:
            raise UserError(
                f"tversky with alpha={alpha}, beta={beta}; expected both 0 or more; try alpha=0.3, beta=0.7"
            )
        self.tversky = TverskyLoss(
            sigmoid=True, alpha=alpha, beta=beta, batch=batch, smooth_nr=smooth, smooth_dr=smooth
        )

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.tversky(*_with_space(logits, targets))
        return value


class CrossEntropy(Loss):
    """Softmax cross-entropy of K exclusive classes, targets one-hot over dimension 1.

    The mean over examples of -sum_k w_k y_k log p_k with w the weights' `positive`; it is not divided by the weights
    of the batch, so that a batch's mixture of classes does not change an example's pull.
    """

    def __init__(self, weights: ClassWeights | None = None, *, label_smoothing: float = 0.0) -> None:
        super().__init__(weights)
        if not 0 <= label_smoothing < 1:
            raise UserError(f"label_smoothing={label_smoothing}; expected a number in [0, 1); try 0.1")
        self.label_smoothing = label_smoothing

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        weight = self.positive.expand(logits.shape[1])
        return F.cross_entropy(logits, targets, weight=weight, label_smoothing=self.label_smoothing)


class BloodAndType(Loss):
    """Blood in the first output by Dice + weighted BCE; its type in the others by cross-entropy inside true blood.

    Targets are (B, 6, ...): blood, then one of five types, or none of them where nobody knows. The types of a batch
    count equally, however many voxels each has: a large intraparenchymal bleed would otherwise drown a thin subdural
    one. `labelled` is for networks that also name what each slice shows.
    """

    def __init__(
        self,
        weights: ClassWeights | None = None,
        *,
        dice_weight: float = 1.0,
        bce_weight: float = 1.0,
        type_weight: float = 0.3,
        slice_weight: float = 0.3,
    ) -> None:
        super().__init__()
        if min(type_weight, slice_weight) < 0:
            raise UserError(
                f"blood+type with type_weight={type_weight} and slice_weight={slice_weight}; expected 0 or "
                "more; try 0.3"
            )
        self.blood = DiceBCE(weights, dice_weight=dice_weight, bce_weight=bce_weight)
        self.type_weight, self.slice_weight = type_weight, slice_weight

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        blood = self.blood.compute(logits[:, :1], targets[:, :1])
        types = targets[:, 1:]
        counts = types.sum(dim=(0, *range(2, types.ndim)))
        present = counts > 0
        weight = torch.where(present, 1 / counts.clamp(min=1), 0) / present.sum().clamp(min=1)
        # Only where a type is known: in the rest of a head, nearly all of it, there is nothing to compute.
        named = types.amax(dim=1) > 0
        surprises = F.log_softmax(logits[:, 1:].movedim(1, -1)[named], dim=-1) * types.movedim(1, -1)[named]
        surprise = -(surprises * weight).sum()
        return blood + self.type_weight * surprise

    def labelled(self, logits: Tensor, slice_logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of maps and, with `slice_weight`, the BCE of slice logits, five types and any, (B, 6) beside targets
        (B, 6, H, W) or (B, 6, D) beside (B, 6, D, H, W), against what the targets show of each slice. Where the type of
        some blood is unknown, a type that is not shown teaches nothing."""
        shown = targets.amax(dim=(-2, -1))
        labels = torch.cat([shown[:, 1:], shown[:, :1]], dim=1)
        untyped = (targets[:, :1] > targets[:, 1:].amax(dim=1, keepdim=True)).any(dim=-1).any(dim=-1)
        told = torch.cat([~untyped | (shown[:, 1:] > 0), torch.ones_like(untyped)], dim=1)
        with torch.autocast(device_type=logits.device.type, enabled=False):
            surprise = F.binary_cross_entropy_with_logits(slice_logits.float(), labels, weight=told.float())
        return self(logits, targets) + self.slice_weight * surprise


class SliceAndLocalisation(Loss):
    """What a slice shows, by weighted BCE, and where, for a network that says both (`timm-unet`).

    `compute` is the BCE of the slice logits alone; `where` adds the maps. Where the label maps know the blood, that is
    `BloodAndType` at the maps' stride, with pixels that are partly blood as fractions. In a slice of which only the
    labels are known, the `spot` largest blood logits of a slice that bleeds should say blood, of a type that the slice
    has: multiple-instance learning, with the mean of the largest for the maximum.
    """

    def __init__(
        self,
        weights: ClassWeights | None = None,
        *,
        map_weight: float = 1.0,
        type_weight: float = 0.3,
        spot_weight: float = 0.3,
        spot: int = 12,
        positive_weight: float = 3.0,
    ) -> None:
        super().__init__(weights)
        if min(map_weight, type_weight, spot_weight) < 0 or spot < 1 or not positive_weight > 0:
            raise UserError(
                "bce+localisation with a weight below 0, or spot below 1; expected weights of 0 or more "
                "and at least one pixel; try the defaults"
            )
        blood = ClassWeights(torch.ones(1), torch.full((1,), positive_weight))
        self.slices, self.maps = WeightedBCE(weights), BloodAndType(blood, type_weight=type_weight)
        self.map_weight, self.spot_weight, self.spot = map_weight, spot_weight, spot

    def compute(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.slices.compute(logits, targets)

    def where(self, logits: Tensor, maps: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
        """Loss of slice logits (B, 6) and maps (B, 6, h, w) against targets (B, 6) and label maps (B, 1, H, W) of
        labels 1..5, 255 where unknown (`slice_masks`)."""
        with torch.autocast(device_type=logits.device.type, enabled=False):
            logits, maps, targets = logits.float(), maps.float(), targets.float()
            total = self.compute(logits, targets)
            unknown = (masks == UNKNOWN).flatten(1).any(dim=1)
            known = ~unknown
            if known.any():
                shares = torch.cat([masks[known] > 0, *(masks[known] == label for label in range(1, 6))], dim=1)
                pooled = F.adaptive_avg_pool2d(shares.float(), (maps.shape[2], maps.shape[3]))
                total = total + self.map_weight * self.maps.compute(maps[known], pooled)
            if unknown.any():
                total = total + self.spot_weight * self._spots(maps[unknown], targets[unknown])
            return total

    def _spots(self, maps: Tensor, targets: Tensor) -> Tensor:
        blood, places = maps[:, 0].flatten(1).topk(self.spot, dim=1)
        of_type = F.log_softmax(maps[:, 1:].flatten(2), dim=1).gather(2, places[:, None].expand(-1, 5, -1))
        types = targets[:, :-1]
        named = types.any(dim=1)
        surprise = F.softplus(-blood).mean()
        if not named.any():
            return surprise
        allowed = of_type[named].masked_fill(types[named][:, :, None] == 0, -torch.inf)
        return surprise - allowed.logsumexp(dim=1).mean()


_LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": WeightedBCE,
    "focal": Focal,
    "dice": Dice,
    "dice+bce": DiceBCE,
    "tversky": Tversky,
    "cross-entropy": CrossEntropy,
    "blood+type": BloodAndType,
    "bce+localisation": SliceAndLocalisation,
}
TYPED_LOSSES = ("blood+type",)
"""Losses of networks whose first output is blood and whose others are its type."""


LOCATING_LOSSES = ("bce+localisation",)
"""Losses of classifiers that also say where (`timm-unet`), which learn from label maps of their slices."""


def known_losses() -> tuple[str, ...]:
    """Names `create_loss` takes.

    >>> known_losses()
    ('bce', 'focal', 'dice', 'dice+bce', 'tversky', 'cross-entropy', 'blood+type', 'bce+localisation')
    """
    return tuple(_LOSSES)


def create_loss(name: str, weights: ClassWeights | None = None, **options: Any) -> nn.Module:
    """Loss module by name, called as `loss(logits, targets)` with two tensors of one shape (B, K) or (B, K, ...).

    Options: focal `gamma`, `alpha`; dice `batch`, `smooth`; dice+bce `dice_weight`, `bce_weight`, `batch`;
    tversky `alpha`, `beta`, `batch`, `smooth`; cross-entropy `label_smoothing`; blood+type `dice_weight`,
    `bce_weight`, `type_weight`, `slice_weight`; bce+localisation `map_weight`, `type_weight`, `spot_weight`, `spot`,
    `positive_weight`.

    Raises UserError for an unknown name or option, and for class weights given to `dice` or `tversky`, which have no
    place for them.

    >>> create_loss("bce")(torch.zeros(1, 1), torch.ones(1, 1)).item()  # log 2
    0.6931471824645996
    """
    if name not in _LOSSES:
        raise unknown_name("loss", name, known_losses())
    known = [option for option in inspect.signature(_LOSSES[name]).parameters if option != "weights"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of loss '{name}'", option, known)
    return _LOSSES[name](weights, **options)


def _refuse_weights(name: str, weights: ClassWeights | None) -> None:
    """Refuses weights that would be ignored: an ablation that changes nothing must not look like one."""
    if weights is not None and not weights.neutral:
        raise UserError(
            f"class weights for loss '{name}'; expected none, it balances by itself; use bce, focal, "
            "dice+bce or cross-entropy, or weighting none"
        )


def _with_space(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K) becomes (1, K, B), the batch as space, because overlap losses need something to sum over."""
    if logits.ndim == 2:
        return logits.T[None], targets.T[None]
    return logits, targets
