"""What a phantom patient will be, drawn from (seed, index) alone: cheap, so labels are known before rendering."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hemobench.datasets.phantom.tissues import BLOOD_HU
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES

LOOKALIKES = (
    "pineal-calcification",
    "choroid-calcification",
    "falx-calcification",
    "basal-ganglia-calcification",
    "dense-sinus",
    "beam-hardening",
    "bright-rim",
    "old-infarct",
    "motion",
    "head-holder",
    "scalp-haematoma",
    "operated",
    "thin-base",
)
# How often each is met; physiological calcification and artefacts are everyday findings, the others rarer.
LOOKALIKE_RATE = (0.6, 0.6, 0.15, 0.12, 0.2, 0.6, 0.6, 0.12, 0.15, 0.5, 0.15, 0.1, 0.6)
AGES = tuple(BLOOD_HU)
RESTLESS = (1.5, 3.5, 3.0)  # pitch, roll, yaw: at most so many times as far from straight


@dataclass(frozen=True)
class PhantomSpec:
    """A phantom data set: how many patients, what is scanned, and the seed that makes it the same every time.

    patients: number of patients. slices, matrix: size of each CT stack (D, H, W) = (slices, matrix, matrix).
    seed: a whole number from 0. product: "ct" (bleeds, HU) or "t1" (MRI with a ventricle mask). anatomy: folder of
    FreeSurfer-style label maps, or None for the MNI152 head. thickness_mm: fixed slice thickness, or None for 1 to 5 mm
    drawn per patient. healthy: fraction of patients without a bleed. subtypes: restricts the types drawn, or None.
    least_size: 0 draws bleeds from the thinnest to the largest; nearer 1, only large ones. restless: fraction of
    patients whose head lies far from straight, as after trauma: each angle up to RESTLESS times what it would be.
    least_contrast_hu: bleeds nearer than that to the density of what lies around are drawn and carry no label.
    Raises UserError for values out of range.
    """

    patients: int = 100
    slices: int = 32
    matrix: int = 256
    seed: int = 2021
    product: str = "ct"
    anatomy: str | None = None
    thickness_mm: float | None = None
    healthy: float = 0.4
    subtypes: tuple[str, ...] | None = None
    least_size: float = 0.0
    restless: float = 0.0
    least_contrast_hu: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (("patients", 1, 1_000_000), ("slices", 1, 400), ("matrix", 32, 1024)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise UserError(f"phantom {name} is {value!r}; expected a whole number from {low} to {high}; change it")
        if self.product not in ("ct", "t1"):
            raise UserError(f"phantom product is {self.product!r}; expected ct or t1; use one of these")
        for name in ("healthy", "least_size", "restless"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UserError(f"phantom {name} is {value!r}; expected a fraction from 0 to 1; change it")
        if not 0 <= self.least_contrast_hu <= 100:
            raise UserError(f"phantom least_contrast_hu is {self.least_contrast_hu!r}; expected 0 to 100 HU; change it")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise UserError(f"phantom seed is {self.seed!r}; expected a whole number from 0; change it")
        if self.thickness_mm is not None and not 0.1 <= self.thickness_mm <= 20:
            raise UserError(f"phantom thickness_mm is {self.thickness_mm!r}; expected 0.1 to 20 or none; change it")
        unknown = set(self.subtypes or ()) - set(SUBTYPES)
        if unknown:
            raise UserError(f"phantom subtypes {sorted(unknown)}; expected some of {', '.join(SUBTYPES)}; correct them")

    def to_mapping(self) -> dict[str, Any]:
        """The spec as plain values; the anatomy by folder name alone, since a path says nothing on another machine."""
        values = asdict(self)
        values["anatomy"] = Path(self.anatomy).name if self.anatomy else "mni152"
        return values


@dataclass(frozen=True)
class Bleed:
    """One planned haemorrhage. size: 0 smallest to 1 largest. key: seed of its shape."""

    subtype: str
    age: str
    size: float
    place: str
    key: int


@dataclass(frozen=True)
class Person:
    """How one head departs from its anatomy: axis scales, pose in degrees, smooth warp (mm), CSF, ventricles, and
    how much thicker than the template's skull and scalp are."""

    scale: tuple[float, float, float]
    pitch_deg: float
    roll_deg: float
    yaw_deg: float
    warp_mm: float
    atrophy: float
    ventricle_growth_mm: float
    skull_factor: float
    scalp_factor: float
    age_years: float


@dataclass(frozen=True)
class Scan:
    """Scanner settings: field of view and slices in mm, gantry tilt, kernel (0 soft to 1 sharp), noise at 5 mm.

    profile: how far along the axis a slice gathers its signal, in units of its thickness: helical scanning and wide
    detectors reach beyond it, which is where bright haze over the orbital roofs and the skull base comes from.
    """

    field_of_view_mm: float
    thickness_mm: float
    coverage: float
    tilt_deg: float
    shift_mm: tuple[float, float]
    sharpness: float
    noise_hu: float
    profile: float = 1.0


@dataclass(frozen=True)
class Plan:
    """Everything decided about a patient before rendering."""

    index: int
    patient_id: str
    key: int
    bleeds: tuple[Bleed, ...]
    lookalikes: tuple[str, ...]
    person: Person
    scan: Scan

    @property
    def study_labels(self) -> tuple[int, ...]:
        """0 or 1 for each of SUBTYPES."""
        present = {bleed.subtype for bleed in self.bleeds}
        return tuple(int(subtype in present) for subtype in SUBTYPES)


PLACES = {
    "epidural": ("convexity", "convexity", "base"),
    "subdural": ("convexity", "convexity", "convexity", "convexity", "base", "falx", "tentorium"),
    "subarachnoid": ("cisterns", "sulci", "sulci"),
    "intraparenchymal": ("deep", "lobar", "lobar", "contusion", "cerebellum", "pons"),
    "intraventricular": ("dependent", "dependent", "cast"),
}
# Bleeds that come together: trauma mixes the extra-axial types with contusions, a deep bleed breaks through.
COMPANIONS = {
    "epidural": ("subdural", "subarachnoid", "intraparenchymal"),
    "subdural": ("subarachnoid", "intraparenchymal", "epidural"),
    "subarachnoid": ("intraventricular", "subdural", "intraparenchymal"),
    "intraparenchymal": ("intraventricular", "subarachnoid", "subdural"),
    "intraventricular": ("intraparenchymal", "subarachnoid"),
}


def plan_patient(spec: PhantomSpec, index: int) -> Plan:
    """Draw patient `index` of a data set; depends on seed and index only, so patients can be made in any order."""
    rng = np.random.default_rng(np.random.SeedSequence([spec.seed, index, 7]))
    bleeds = _draw_bleeds(spec, rng)
    chance = rng.random(len(LOOKALIKES))
    lookalikes = tuple(name for name, c, rate in zip(LOOKALIKES, chance, LOOKALIKE_RATE, strict=True) if c < rate)
    return Plan(
        index,
        f"phantom-{spec.seed}-{index:05d}",
        int(rng.integers(2**62)),
        bleeds,
        lookalikes,
        _turned(_draw_person(spec, rng), spec, index),
        _draw_scan(spec, rng),
    )


def _draw_bleeds(spec: PhantomSpec, rng: np.random.Generator) -> tuple[Bleed, ...]:
    allowed = spec.subtypes or SUBTYPES
    if rng.random() < spec.healthy:
        return ()
    wanted = [str(rng.choice(allowed))]
    for _ in range(int(rng.choice(3, p=(0.65, 0.25, 0.10)))):
        options = [t for t in COMPANIONS[wanted[0]] if t in allowed and t not in wanted]
        if options:
            wanted.append(str(rng.choice(options)))
    age = str(rng.choice(AGES, p=(0.12, 0.63, 0.15, 0.10)))
    bleeds = []
    for subtype in wanted:
        # Chronic blood collects only in the subdural space over the convexity.
        place = str(rng.choice(PLACES[subtype]))
        own_age = age if (subtype, place) == ("subdural", "convexity") or age != "chronic" else "acute"
        # More small than large, down to the thinnest.
        size = spec.least_size + (1 - spec.least_size) * float(rng.beta(1.1, 1.6))
        bleeds.append(Bleed(subtype, own_age, size, place, int(rng.integers(2**62))))
    return tuple(bleeds)


# The template's cranium as drawn in `mni` holds 2.0 L, spinal canal included; this brings it to 1.6 L (S, P, L axes).
TEMPLATE_SCALE = (0.92, 0.94, 0.92)


def _draw_person(spec: PhantomSpec, rng: np.random.Generator) -> Person:
    age = float(rng.uniform(18, 92))
    old = (age - 18) / 74
    size = rng.normal(1.0, 0.035)
    mean = TEMPLATE_SCALE if spec.anatomy is None else (1.0, 1.0, 1.0)
    scale = [m * float(np.clip(size * rng.normal(1.0, 0.025), 0.88, 1.12)) for m in mean]
    return Person(
        scale=(scale[0], scale[1], scale[2]),
        pitch_deg=float(rng.normal(0, 8)),
        roll_deg=float(rng.normal(0, 5)),
        yaw_deg=float(rng.normal(0, 11)),
        warp_mm=float(rng.uniform(1.5, 5.0)),
        atrophy=float(np.clip(rng.normal(0.15 + 0.75 * old, 0.2), 0, 1)),
        ventricle_growth_mm=float(np.clip(rng.normal(-0.4 + 3.4 * old, 1.1), -0.8, 6.5)),
        skull_factor=float(np.clip(rng.normal(1.0, 0.18), 0.65, 1.6)),
        scalp_factor=float(np.clip(rng.normal(1.1, 0.28), 0.6, 1.9)),
        age_years=age,
    )


def _turned(person: Person, spec: PhantomSpec, index: int) -> Person:
    # Numbers of its own, so that the other patients are the same whatever share is restless.
    rng = np.random.default_rng(np.random.SeedSequence([spec.seed, index, 8]))
    if rng.random() >= spec.restless:
        return person
    pitch, roll, yaw = rng.uniform(1, RESTLESS) * (person.pitch_deg, person.roll_deg, person.yaw_deg)
    return replace(person, pitch_deg=float(pitch), roll_deg=float(roll), yaw_deg=float(yaw))


def _draw_scan(spec: PhantomSpec, rng: np.random.Generator) -> Scan:
    thickness = spec.thickness_mm if spec.thickness_mm else float(rng.choice((1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 5.0, 5.0)))
    return Scan(
        field_of_view_mm=float(rng.uniform(200, 245)),
        thickness_mm=thickness,
        coverage=float(rng.uniform(0.92, 1.05)),
        tilt_deg=float(rng.choice((0.0, 0.0, rng.uniform(-22, 22)))),
        shift_mm=(float(rng.normal(0, 5)), float(rng.normal(0, 5))),
        sharpness=float(rng.beta(1.2, 3.0)),
        noise_hu=float(rng.uniform(1.2, 3.4)),
        profile=float(rng.uniform(1.0, 1.8)),
    )
