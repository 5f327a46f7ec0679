# SPDX-License-Identifier: BSD-2-Clause-Patent
"""linux-standby on synthetic logs and findings: the table, and which expectation fails when a night goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.experiments.experiment import Request
from build_scripts.experiments.linux_standby import VARIANTS, LinuxStandby, LinuxStandbySeen, Slept, Variant, rows
from build_scripts.linux.boot import LinuxRun, parse_console
from build_scripts.observation.events import read_stream

from .seen import GOOD_END, complaints
from .streams import Logs

PROCESSORS = 2


@dataclass(frozen=True)
class Fault:
    """What goes wrong after the wakes of one variant.

    Attributes:
        dies: Linux does not wake from its first sleep.
        online: processors that it finds.
        equal: variables are read back as written.
        lost: SMIs that are not counted.
        stray: SMIs that somebody else serves.
        vmx: VMX is where it should not be, or the other way about.
        stays: the VMM does not leave, or does although it should not.
        warning: a line of the kernel's log.
    """

    dies: bool = False
    online: int = PROCESSORS
    equal: bool = True
    lost: int = 0
    stray: bool = False
    vmx: bool = False
    stays: bool = False
    warning: str = ""


NONE = Fault()


def look(vmx: bool, fault: Fault = NONE) -> list[str]:
    """The findings of one day."""
    found = [f"processor cpu={cpu} online=1 cpuid_vmx={int(vmx)}" for cpu in range(fault.online)]
    found += [f"smis raised={count} count0={count - (fault.lost if count else 0)}" for count in (0, 10)]
    return [*found, *(f"variable cpu={cpu} error=0 equal={int(fault.equal)} removed=0" for cpu in range(PROCESSORS))]


def slept(folder: Path, variant: Variant, fault: Fault = NONE) -> Slept:
    """A boot of a variant."""
    logs = Logs(folder / variant.name)
    logs.app("script", "line=1 cmd=x")
    logs.default_smi()
    under = variant.options is not None
    if under:
        logs.record("executive.log", "EXEC", "launch", "cpu=0")
    smi = logs.plain_smi if under else logs.default_smi
    found = ["boot kernel=6.1.0-x cpus=2", *look(not under)]
    smi()
    for night in range(1, variant.nights + 1):
        logs.app("linux-sleep", f"number={night} way=deep")
        if under and variant.leaves != fault.stays:
            logs.record("executive.log", "EXEC", "power", "event=sleep cpu=0")
        logs.default_smi()
        if fault.dies:
            break
        logs.app("linux-wake", f"number={night} way=deep")
        (logs.plain_smi if variant.returns != fault.stray else logs.default_smi)()
        found += [f"night number={night} way=deep error=0", *look(variant.returns == fault.vmx, fault)]
    if not fault.dies:
        found += [f"log-line level=4 text={fault.warning}"] if fault.warning else []
        found += ["log lines=500 bad=0", "end done=1"]
    run_dir = logs.write()
    console = "".join(f"[    1.0] lab: {line}\n" for line in found)
    return Slept(variant, LinuxRun(run_dir, GOOD_END, parse_console(console)), read_stream(run_dir))


def night(folder: Path, wrong: str = "", fault: Fault = NONE) -> LinuxStandbySeen:
    """All variants, of which one has a fault."""
    boots = (slept(folder, variant, fault if variant.name == wrong else NONE) for variant in VARIANTS)
    return LinuxStandbySeen(Request(experiment="linux-standby"), PROCESSORS, tuple(boots))


def test_table(tmp_path: Path) -> None:
    seen = night(tmp_path)
    experiment = LinuxStandby()
    assert experiment.failure(seen) is None
    assert complaints(experiment.expectations(seen)) == ""
    mornings = [row.morning for row in rows(seen)]
    assert [(one.variant, one.alive, one.monitor, one.served_by, one.first_break) for one in mornings] == [
        ("no VMM", True, False, "handler", "nothing"),
        ("ignores", True, False, "handler", "VMX appears; the VMM believes it runs"),
        ("leaves", True, False, "handler", "nothing; the VMM is not there"),
        ("returns", True, True, "stm", "nothing"),
    ]
    facts = experiment.facts(seen)
    assert facts["kernel"] == "6.1.0-x"
    assert facts["rows"][3] == {
        "variant": "returns",
        "nights": 3,
        "online": 2,
        "variables": 6,
        "vmx": {"before": False, "after": False},
        "served_by": {"before": "stm", "after": "stm"},
        "first_break": "nothing",
    }


@pytest.mark.parametrize("variant", [variant.name for variant in VARIANTS])
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (Fault(dies=True), "sleeps after which Linux is alive: expected {nights}, saw 0"),
        (Fault(online=1), "processors online after: expected 2, saw 1"),
        (Fault(equal=False), "UEFI variables read back as written after:"),
        (Fault(lost=1), "SMIs counted of those raised after: expected 10, saw 9"),
        (Fault(stray=True), "who serves SMIs after: expected {served}, saw {other}"),
        (Fault(vmx=True), "the processor shows VMX after: expected {vmx}"),
    ],
    ids=["dies", "offline", "variable", "lost-smi", "stray-smi", "vmx"],
)
def test_fault_is_named(variant: str, fault: Fault, complaint: str, tmp_path: Path) -> None:
    seen = night(tmp_path, variant, fault)
    (found,) = (one for one in VARIANTS if one.name == variant)
    served, other = ("stm", "handler") if found.returns else ("handler", "stm")
    words = complaint.format(nights=found.nights, served=served, other=other, vmx="no" if found.returns else "yes")
    assert f"{variant}: {words}" in complaints(LinuxStandby().expectations(seen))


def test_guest_that_does_not_wake_ends_the_run(tmp_path: Path) -> None:
    """The boot that fails is the last, and the error says which it was."""
    boots = (slept(tmp_path, VARIANTS[0]), slept(tmp_path, VARIANTS[1], Fault(dies=True)))
    error = LinuxStandby().failure(LinuxStandbySeen(Request(), PROCESSORS, boots))
    assert error is not None and "Linux (ignores) did not reach its end" in error.message


@pytest.mark.parametrize(("variant", "seen_words"), [("ignores", "yes"), ("leaves", "no"), ("returns", "no")])
def test_monitor_that_leaves_when_it_should_not(variant: str, seen_words: str, tmp_path: Path) -> None:
    expected = "no" if seen_words == "yes" else "yes"
    found = complaints(LinuxStandby().expectations(night(tmp_path, variant, Fault(stays=True))))
    assert f"{variant}: the VMM leaves before the sleep: expected {expected}, saw {seen_words}" in found


def test_new_warning_of_the_kernel_is_named(tmp_path: Path) -> None:
    found = complaints(LinuxStandby().expectations(night(tmp_path, "returns", Fault(warning="MSR lost"))))
    assert found == "returns: the kernel's log is as without a VMM:\n    MSR lost"
