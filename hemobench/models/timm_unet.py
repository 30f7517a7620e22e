"""A timm backbone that also says where: its feature maps, from coarse to fine, made into a map of the blood.

The classifier half is a plain timm network with timm's head, so that it can be used without the other half. Learning
where the blood is teaches its features what a slice's label alone says too rarely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES
from hemobench.models.backbones import TimmClassifier, create_backbone
from hemobench.models.names import FAMILY
from hemobench.models.padding import check_rank, crop_to, pad_to_multiple, set_bias_prior
from hemobench.models.unet import fold_slices

MAP_OUTPUTS = 6
"""Blood of any type, then each type given that it is blood."""
_WIDTHS = (16, 32, 64, 96)
_BLOOD_PRIOR = 0.01
_STRIDE = 32  # of the coarsest features
_SUBPIXELS = 4  # of a place in maps of stride 2
EVIDENCE = ("head", "both")
# Of a map's pixels, those that speak for the slice: 12 of 96 x 96, some 80 mm2 of a head.
_SPOT_SHARE = 1 / 768


class Decoder(nn.Module):
    """Features at strides 2, 4, 8, 16, 32 to logits (B, outputs, H/2, W/2), by a U-Net's ascent: up-sample, join the
    finer features (narrowed first), one convolution. widths: channels at strides 2, 4, 8 and 16. size: of the last
    convolution's kernel."""

    def __init__(self, channels: Sequence[int], outputs: int, widths: Sequence[int] = _WIDTHS, size: int = 1) -> None:
        super().__init__()
        coarser = [*widths[1:], channels[-1]]
        self.narrow = nn.ModuleList(nn.Conv2d(skip, width, 1) for skip, width in zip(channels, widths, strict=False))
        self.join = nn.ModuleList(_normed(below + width, width) for below, width in zip(coarser, widths, strict=True))
        self.final = nn.Conv2d(widths[0], outputs, size, padding=size // 2)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features from fine to coarse; logits float32 also under autocast."""
        found = features[-1]
        stages = list(zip(self.narrow, self.join, features[:-1], strict=True))
        for narrow, join, finer in reversed(stages):
            found = F.interpolate(found, size=finer.shape[2:], mode="nearest")
            found = join(torch.cat([found, narrow(finer)], dim=1))
        with torch.autocast(device_type=found.device.type, enabled=False):
            return F.conv2d(found.float(), self.final.weight, self.final.bias, padding=self.final.padding)


class LocatingClassifier(TimmClassifier):
    """A timm classifier with a decoder beside its head: (B, C, H, W) to logits (B, 6), and while it trains also to
    maps (B, 6, H/2, W/2) of the blood and, given blood, its type.

    evidence: what speaks for a slice once it is trained. "head" is timm's head alone, which timm can compute without
    us; "both" is the mean of the head's logits and those of the maps' likeliest spots, which see smaller bleeds.
    mirrored: a slice is judged with its mirror image, left for right, by the mean of both logits, at twice the cost.
    """

    def __init__(
        self, classifier: TimmClassifier, decoder: Decoder, evidence: str = "head", mirrored: bool = False
    ) -> None:
        super().__init__(classifier.name, classifier.backbone, classifier.in_channels, classifier.patch)
        if evidence not in EVIDENCE:
            raise unknown_name("evidence", evidence, EVIDENCE)
        self.decoder, self.evidence, self.mirrored = decoder, evidence, mirrored

    @property
    def is_plain(self) -> bool:
        """Whether timm alone gives the same answers."""
        return self.evidence == "head" and not self.mirrored

    def forward(self, images: Tensor) -> Any:
        """Logits (B, 6) in evaluation mode, (logits, maps) in training mode; float32."""
        if not self.training:
            logits = self._judged(images)
            return (logits + self._judged(images.flip(-1))) / 2 if self.mirrored else logits
        return self._both_halves(images)

    def _judged(self, images: Tensor) -> Tensor:
        if self.evidence == "head":
            return super().forward(images)
        logits, maps = self._both_halves(images)
        return (logits + spot_logits(maps)) / 2

    def _both_halves(self, images: Tensor) -> tuple[Tensor, Tensor]:
        check_rank(images, (4,), self.in_channels, f"{FAMILY}:{self.name}")
        backbone: Any = self.backbone
        final, features = backbone.forward_intermediates(images)
        return backbone.forward_head(final).float(), self.decoder(features)

    def plain(self) -> TimmClassifier:
        """The classifier half alone; it shares its weights with this."""
        return TimmClassifier(self.name, self.backbone, self.in_channels, self.patch).train(self.training)


def spot_logits(maps: Tensor) -> Tensor:
    """What maps (B, 6, h, w) say of their slice: (B, 6) logits, five types and any, each the mean over its likeliest
    spots. A type's is the logit of blood plus the logarithm of the type's share, near the logit of both where rare."""
    blood = maps[:, :1].flatten(2)
    fields = torch.cat([blood + F.log_softmax(maps[:, 1:].flatten(2), dim=1), blood], dim=1)
    spots = max(1, round(int(fields.shape[2]) * _SPOT_SHARE))  # int: of a traced graph it is a tensor
    return fields.topk(spots, dim=2).values.mean(dim=2)


class TimmUNet(nn.Module):
    """The same network as a segmenter slice by slice: volumes (B, C, D, H, W) to logits
    (B, K, D, H, W), or slices (B, (2 context + 1) C, H, W), their neighbours as channels, to (B, K, H, W).

    The maps of stride 2 are up-sampled bilinearly, or, with `fine`, the first output has four values at each place of
    them, one a pixel (sub-pixel convolution, Shi et al., CVPR 2016), and the types, which have no fine edges, are
    repeated. context: slices on each side that are seen with each. mirrored: once it is trained, the mean of the logits
    and of those of the mirror image, turned back. labelled: it keeps timm's head, and while it trains it also says
    which haemorrhages each slice shows, five types and any: a label teaches what a thin rim in a mask says too faintly.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        decoder: Decoder,
        in_channels: int,
        *,
        mirrored: bool = False,
        context: int = 0,
        fine: bool = False,
        labelled: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.backbone, self.decoder, self.in_channels = name, backbone, decoder, in_channels
        self.mirrored, self.context, self.fine, self.labelled = mirrored, context, fine, labelled

    def forward(self, voxels: Tensor) -> Any:
        """Logits float32, and while a labelled network trains (logits, slice logits (B, 6) or (B, 6, D)); sizes that 32
        does not divide are padded with the edge and cut again."""
        seen = self.in_channels * (2 * self.context + 1)
        check_rank(voxels, (4, 5), seen if voxels.ndim == 4 else self.in_channels, f"{FAMILY}:{self.name}")
        if self.training:
            return self._taught(voxels)
        logits = self._outlined(voxels)
        return (logits + self._outlined(voxels.flip(-1)).flip(-1)) / 2 if self.mirrored else logits

    def _taught(self, voxels: Tensor) -> Any:
        if not self.labelled:
            return self._outlined(voxels)
        backbone: Any = self.backbone
        final, features = backbone.forward_intermediates(self._as_images(voxels))
        named = backbone.forward_head(final).float()
        if voxels.ndim == 5:
            named = named.unflatten(0, (voxels.shape[0], voxels.shape[2])).movedim(1, 2)
        return self._maps(features, voxels), named

    def _outlined(self, voxels: Tensor) -> Tensor:
        backbone: Any = self.backbone
        return self._maps(backbone.forward_intermediates(self._as_images(voxels), intermediates_only=True), voxels)

    def _as_images(self, voxels: Tensor) -> Tensor:
        slices = fold_slices(voxels, self.context) if voxels.ndim == 5 else voxels
        return pad_to_multiple(slices, (_STRIDE, _STRIDE))

    def _maps(self, features: Sequence[Tensor], voxels: Tensor) -> Tensor:
        logits = crop_to(self._at_pixels(self.decoder(features)), voxels.shape[-2:])
        return logits.unflatten(0, (voxels.shape[0], voxels.shape[2])).movedim(1, 2) if voxels.ndim == 5 else logits

    def _at_pixels(self, maps: Tensor) -> Tensor:
        if not self.fine:
            return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
        first, others = F.pixel_shuffle(maps[:, :_SUBPIXELS], 2), maps[:, _SUBPIXELS:]
        if not others.shape[1]:
            return first
        return torch.cat([first, F.interpolate(others, scale_factor=2.0, mode="nearest")], dim=1)

    def widened(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a network that sees single slices, for one with context: its first layer ignores neighbours. Those
        of a decoder to half resolution, for a fine one: all pixels of a place say what the place said."""
        own, fitted = self.state_dict(), dict(weights)
        for name, given in weights.items():
            wanted = own[name].shape if name in own else given.shape
            if given.ndim == 4 and wanted[1] == given.shape[1] * (2 * self.context + 1) > given.shape[1]:
                fitted[name] = torch.zeros(wanted, dtype=given.dtype)
                start = self.context * given.shape[1]
                fitted[name][:, start : start + given.shape[1]] = given
            elif name.startswith("decoder.final.") and len(wanted) and wanted[0] == len(given) + _SUBPIXELS - 1:
                repeated = torch.cat([given[:1].expand(_SUBPIXELS, *given.shape[1:]), given[1:]])
                fitted[name] = repeated if given.ndim == 1 else F.pad(repeated, (wanted[-1] // 2,) * 4)
        return fitted


def create_locating_classifier(
    name: str, in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None, **options: Any
) -> LocatingClassifier:
    """timm's `name` with a decoder; options as for `create_backbone`, `evidence` and `mirrored`. Raises: UserError."""
    evidence, mirrored = str(options.pop("evidence", "head")), bool(options.pop("mirrored", False))
    classifier = create_backbone(name, in_channels, num_outputs, image_size, **options)
    assert isinstance(classifier, TimmClassifier)
    return LocatingClassifier(classifier, _decoder(name, classifier.backbone, MAP_OUTPUTS), evidence, mirrored)


def create_timm_unet(
    name: str,
    in_channels: int,
    num_outputs: int,
    *,
    mirrored: bool = False,
    context: int = 0,
    fine: bool = False,
    labelled: bool = False,
    prior: float | Sequence[float] | None = None,
    **options: Any,
) -> TimmUNet:
    """timm's `name` as the descending half of a U-Net; options as for `create_backbone` and `TimmUNet`.

    Raises: UserError.
    """
    if context < 0:
        raise UserError(f"context {context} of {FAMILY}:{name}; expected 0 or more slices on each side; try 1")
    backbone: Any = create_backbone(name, in_channels * (2 * context + 1), len(CLASSES), None, **options).backbone
    decoder = _decoder(name, backbone, num_outputs, fine=fine)
    if not labelled:
        backbone.reset_classifier(0, "")
    if prior is not None:
        first, *others = [prior] * num_outputs if isinstance(prior, (int, float)) else prior
        set_bias_prior(decoder.final, [first] * (_SUBPIXELS if fine else 1) + others)
    return TimmUNet(
        name, backbone, decoder, in_channels, mirrored=mirrored, context=context, fine=fine, labelled=labelled
    )


def _decoder(name: str, backbone: Any, outputs: int, *, fine: bool = False) -> Decoder:
    """A decoder for a backbone whose features come at strides 2 to 32. Raises: UserError for any other."""
    info = getattr(backbone, "feature_info", None)
    stages = info if isinstance(info, list) else []
    strides = [stage["reduction"] for stage in stages]
    if strides != [2, 4, 8, 16, _STRIDE] or not hasattr(backbone, "forward_intermediates"):
        raise UserError(
            f"{FAMILY}:{name} has features at strides {strides}; expected 2, 4, 8, 16, 32; take a "
            "convolutional backbone such as resnet10t"
        )
    of_blood = _SUBPIXELS if fine else 1
    decoder = Decoder([stage["num_chs"] for stage in stages], outputs - 1 + of_blood, size=3 if fine else 1)
    nn.init.normal_(decoder.final.weight, std=0.01)
    set_bias_prior(decoder.final, [_BLOOD_PRIOR] * of_blood + [0.5] * (outputs - 1))
    return decoder


def _normed(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
