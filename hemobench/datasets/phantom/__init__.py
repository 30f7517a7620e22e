"""The embedded data set: head CTs and T1 MRIs made from real anatomy, with bleeds whose place and size are known."""

from __future__ import annotations

from hemobench.datasets.phantom.generate import generate_patient, generate_patients
from hemobench.datasets.phantom.plan import PhantomSpec, plan_patient

__all__ = ["PhantomSpec", "generate_patient", "generate_patients", "plan_patient"]
