"""The embedded data set: head CTs and T1 MRIs made from real anatomy, with bleeds whose place and size are known."""

from __future__ import annotations

from hemobench.datasets.phantom.dataset import build_folder, open_phantom
from hemobench.datasets.phantom.generate import generate_patient, generate_patients
from hemobench.datasets.phantom.plan import PhantomSpec, plan_patient

__all__ = ["PhantomSpec", "build_folder", "generate_patient", "generate_patients", "open_phantom", "plan_patient"]
