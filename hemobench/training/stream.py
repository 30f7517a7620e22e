"""Phantom patients made while a network trains: a new shard for every so many epochs, so that few are seen twice.

A shard is a small phantom data set of its own seed. While the network learns from one, worker processes make the next;
a shard that is done with is deleted. The generator runs where the training runs, with whatever cores there are, and
what it makes depends on the seed alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from hemobench.datasets.cache import Examples, build_examples, cache_home, examples_key
from hemobench.datasets.opening import Dataset, dataset_info, open_dataset, parse_spec
from hemobench.errors import UserError
from hemobench.views.view import View

# Far from the seeds that people choose, so that no shard repeats a data set that is validated or tested on.
FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class StreamSpec:
    """What a stream makes. data: `phantom`, `phantom:FOLDER` of label maps, or `phantom-t1`. patients: of one shard.
    options: of the data set. passes: epochs that learn from one shard. seed: shard n has the seed
    1,000,000 + 1,000 * seed + n. groups: anatomies that may be used ("anatomy 3"), or None for all: those of
    validation and test patients must not. without: anatomies that may not be used, whatever `groups` says.

    Raises UserError for numbers below 1.
    """

    data: str
    patients: int = 200
    options: Mapping[str, Any] = field(default_factory=dict)
    passes: int = 1
    seed: int = 0
    groups: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("patients", "passes"):
            if getattr(self, name) < 1:
                raise UserError(f"stream {name} is {getattr(self, name)}; expected 1 or more; correct it")
        if not 0 <= self.seed < 1_000:
            raise UserError(f"stream seed is {self.seed}; expected 0 to 999; correct it")

    @classmethod
    def from_options(
        cls, data: str, options: Mapping[str, Any], *, seed: int = 0, groups: tuple[str, ...] | None = None
    ) -> StreamSpec:
        """A stream of `data` as a recipe or a suite writes it down: `patients`, `passes` and `without` are the
        stream's, and all else the data set's. Raises: UserError for a value of another kind, or below 1."""
        rest = dict(options)
        try:
            patients, passes = int(rest.pop("patients", 200)), int(rest.pop("passes", 1))
            without = tuple(str(name) for name in rest.pop("without", ()))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"a stream of {dict(options)}; expected patients and passes as whole numbers and `without` "
                "as a list of anatomies; correct it"
            ) from error
        return cls(data, patients, rest, passes, seed, groups, without)

    def shard(self, number: int) -> Dataset:
        """The data set of shard `number`, from 0 on; nobody in it is in any other."""
        if not dataset_info(parse_spec(self.data)[0]).phantom:
            raise UserError(f"a stream of '{self.data}'; expected phantoms, which can be made anew; name phantom")
        made = open_dataset(
            self.data, patients=self.patients, seed=FIRST_SEED + 1_000 * self.seed + number, **self.options
        )
        if self.groups is None and not self.without:
            return made
        kept = tuple(case for case in made.cases if self._allows(case.group))
        chosen = "all" if self.groups is None else ",".join(self.groups)
        chosen += f" without {','.join(self.without)}" if self.without else ""
        key = sha256(f"{made.fingerprint} {chosen}".encode()).hexdigest()
        return replace(made, cases=kept, fingerprint=key)

    def _allows(self, group: str) -> bool:
        return (self.groups is None or group in self.groups) and group not in self.without

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes a shard."""
        return sha256(f"{self.shard(0).fingerprint} {self.passes}".encode()).hexdigest()


class ExampleStream:
    """The shards of a stream as examples under a view, the next one made beforehand. A context manager.

    masks: with label maps of a classification's slices. jobs: processes that make patients (default: every core this
    process may use).
    """

    def __init__(self, spec: StreamSpec, view: View, *, masks: bool = False, jobs: int | None = None) -> None:
        self.spec, self.view, self.masks, self.jobs = spec, view, masks, jobs
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="stream")
        self._made: dict[int, Future[Examples]] = {}
        self._found: set[int] = set()  # shards that were in the cache before: somebody else's, and left there

    def __enter__(self) -> ExampleStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the shard in the making and delete all that were made here."""
        self._maker.shutdown(wait=True, cancel_futures=True)
        for number in list(self._made):
            self._delete(number)

    def at(self, epoch: int, epochs: int | None = None) -> Examples:
        """Examples of an epoch (from 1 on). Starts the next shard, unless the last of `epochs` is over before it, and
        deletes those before. Raises: UserError."""
        number = (epoch - 1) // self.spec.passes
        last = number + 1 if epochs is None else (epochs - 1) // self.spec.passes
        for wanted in (number, number + 1):
            if wanted not in self._made and wanted <= max(number, last):
                self._made[wanted] = self._maker.submit(self._make, wanted)
        for earlier in [made for made in self._made if made < number]:
            self._delete(earlier)
        return self._made[number].result()

    def _make(self, number: int) -> Examples:
        if self._folder(number).is_dir():
            self._found.add(number)
        return build_examples(self.spec.shard(number), self.view, masks=self.masks, jobs=self.jobs)

    def _delete(self, number: int) -> None:
        del self._made[number]
        if number not in self._found:
            shutil.rmtree(self._folder(number), ignore_errors=True)

    def _folder(self, number: int) -> Path:
        return cache_home() / "cache" / examples_key(self.spec.shard(number), self.view, masks=self.masks)
