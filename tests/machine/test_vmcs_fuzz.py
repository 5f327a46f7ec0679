# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random VMCSs: every VM entry fails as the manual says or runs the guest to an exit; QEMU survives.

The seeds are fixed, so that a run repeats the last one. Others, and longer
runs, without a change of this file:

    STMLAB_FUZZ_SEED=7 STMLAB_FUZZ_BATCHES=100 stmlab test tests/machine/test_vmcs_fuzz.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.machine.vmcs_batch import Capabilities
from tests.machine.vmcs_mutate import changed_under_the_guest, operation
from tests.machine.vmcs_run import COUNTED, SINGLE, Machine, judge

pytestmark = pytest.mark.machine

SEED = int(os.environ.get("STMLAB_FUZZ_SEED", "1"))
BATCHES = int(os.environ.get("STMLAB_FUZZ_BATCHES", "28"))
ENTRIES = 100
CHANGED = 5 * BATCHES // 4
MACHINES = {"counted": COUNTED, "single": SINGLE}

NUMBERS = st.integers(0, 2**32 - 1)
# One entry: what decides its base, and one number for each thing that is wrong with it.
ENTRY = st.tuples(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=8))
# Always as many, so that a batch is worth its machine; shrinking turns into None what a failure does not need.
BATCH = st.lists(st.none() | ENTRY, min_size=ENTRIES, max_size=ENTRIES)


class Fuzzer:
    """Runs batches and counts; a failure prints its entries and keeps the machine's log."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.caps: Capabilities = machine.capabilities()
        self.entries = 0
        self.outcomes: Counter[str] = Counter()

    def run(self, batch: Sequence[tuple[int, Sequence[int]]]) -> None:
        """One batch; fails with every entry that did what it must not do."""
        operations = [operation(self.caps, f"({start}, {list(seeds)})", start, seeds) for start, seeds in batch]
        done = self.machine.run(operations)
        self.entries += len(operations)
        self.outcomes.update(outcome.split("-0x")[0] for result in done for outcome in result.outcomes)
        found = judge(operations, done)
        assert not found, "\n".join([*found, f"log: {self.machine.work / 'debug.log'}"])


@pytest.mark.parametrize("extra", MACHINES.values(), ids=MACHINES)
def test_random_vmcs(extra: tuple[str, ...], qemu: Path, tmp_path: Path) -> None:
    """At least a thousand entries on each machine, of all kinds."""
    fuzzer = Fuzzer(Machine(qemu, tmp_path, extra))

    @seed(SEED)
    @settings(
        max_examples=BATCHES,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(BATCH)
    def batches(batch: list[tuple[int, list[int]] | None]) -> None:
        fuzzer.run([entry for entry in batch if entry])

    batches()
    print(fuzzer.entries, "entries:", dict(fuzzer.outcomes.most_common()))
    assert fuzzer.entries >= 1000
    kinds = {"fail-7", "fail-8", "entry-33-0", "exit-0", "exit-2", "exit-18", "exit-48", "exit-49"}
    assert kinds <= set(fuzzer.outcomes), f"never: {kinds - set(fuzzer.outcomes)}"
    assert any(outcome.startswith("entry-34") for outcome in fuzzer.outcomes)


@pytest.mark.parametrize("extra", MACHINES.values(), ids=MACHINES)
def test_vmcs_changed_under_the_guest(extra: tuple[str, ...], qemu: Path, tmp_path: Path) -> None:
    """VM exits meet host state and controls that no VM entry has checked: the host may die of it, QEMU must not."""
    machine = Machine(qemu, tmp_path, extra, timeout=5)
    caps = machine.capabilities()
    operations = [changed_under_the_guest(caps, SEED * 100_000 + n) for n in range(CHANGED)]
    done = machine.run(operations)
    found = judge(operations, done)
    assert not found, "\n".join(found)
    assert {"exit-10", "host-ended"} <= {outcome for result in done for outcome in result.outcomes}
