# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The attacks, as a user carries them out: each outcome is what the interface, the manual or the chipset says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from build_scripts.errors import ExitCode
from build_scripts.experiments import document
from build_scripts.experiments.attacking.catalogue import all_attacks
from tests.support.carried import carry_out
from tests.support.screens import complaints

pytestmark = pytest.mark.boot

COLUMNS = ("default", "unprotected", "protected")
OUTCOMES = {"S": "succeeded", "B": "blocked", "-": "not-applicable"}
# Not what the attacks declare, but the rules by which they must come out: without STM, with it, with protection.
RULES = (
    (
        "SMM reads and writes all memory; an STM refuses what PROTECT_RESOURCE named, and nothing else",
        "SSB",
        "handler-reads-page handler-writes-page handler-outs-page handler-reads-executive "
        "handler-reads-guest handler-writes-vmcs handler-writes-vmxon-region handler-reads-across",
    ),
    (
        "the same of ports, MSRs and PCI configuration space, which does not move away while it is protected",
        "SSB",
        "handler-uses-protected-port handler-reads-protected-msr handler-writes-pci-register "
        "handler-writes-pci-memory handler-moves-ecam",
    ),
    (
        "and whichever processor asked, also of a page that the handler's processor knew as open",
        "SSB",
        "handler-uses-stale-mapping handler-uses-protection-that-was-lifted",
    ),
    ("the waking vector is memory", "SSB", "handler-writes-waking-vector"),
    ("the firmware's rendezvous has every processor in SMM that takes the SMI", "BBB", "guest-changes-buffer"),
    ("the firmware calls the other processors in, whoever has raised the SMI", "BBB", "guest-swaps-length"),
    ("a device needs no processor; a copy of what it writes it cannot reach", "SSB", "device-swaps-length"),
    ("memory below TOLUD comes before PCI", "BBB", "handler-bar-over-tseg"),
    ("memory below TOLUD comes before PCI; only an STM runs what is in MSEG", "-BB", "executive-bar-over-mseg"),
    ("a handler has a limit of time under an STM, asked for or not", "-B-", "handler-never-ends"),
    (
        "ports of records of others than the STM are anybody's",
        "SSS",
        "handler-forges-executive-record guest-forges-executive-record guest-forges-firmware-record",
    ),
    (
        "MSEG is no memory of the SMI handler's, asked for or not",
        "SBB",
        "handler-reads-mseg handler-writes-mseg handler-copies-into-mseg handler-outs-mseg",
    ),
    (
        "RSM restores what the save state has, an STM everything that belongs to the interrupted side",
        "SBB",
        "handler-leaves-star handler-leaves-lstar handler-leaves-fmask handler-leaves-kernel-gs "
        "handler-leaves-tsc-aux handler-leaves-sysenter handler-leaves-pat handler-leaves-debugctl "
        "handler-leaves-cr2 handler-leaves-dr0",
    ),
    ("RSM itself restores CR0 and DR7", "BBB", "handler-leaves-cache-off handler-leaves-dr7"),
    (
        "of the save state an STM takes general-purpose registers, RSP, RIP and RFLAGS: not these",
        "SBB",
        "handler-saved-cr3 handler-saved-cr4 handler-saved-dr7 handler-saved-efer handler-moves-smbase",
    ),
    ("the event log is memory of the executive monitor's", "-SB", "handler-writes-event-log"),
    (
        "what the STM reads for a handler lies in the handler's SMRAM, or it crashes; without an STM nobody reads it",
        "-BB",
        "handler-gdt-in-mseg",
    ),
    (
        "the STM's port is open to code in SMM, of which the STM keeps the SMI handler away",
        "SBB",
        "handler-forges-record",
    ),
    ("the STM's port is closed outside SMM", "BBB", "executive-forges-record guest-forges-record"),
    (
        "StmApi.h: ADDRESS_LOOKUP and MAP_ADDRESS_RANGE give nothing of MSEG",
        "BBB",
        "handler-looks-up-mseg handler-maps-mseg",
    ),
    ("RIP it takes", "SSS", "handler-redirects"),
    (
        "MSRs on which the STM itself depends are not the SMI handler's, nor are MTRRs",
        "SBB",
        "handler-closes-stm handler-moves-apic handler-leaves-mtrr",
    ),
    ("VMX does not exist in SMM, nor for the STM's guest", "BBB", "handler-vmxoff handler-sets-vmxe"),
    (
        "StmApi.h: numbers with bit 16 set are the executive monitor's",
        "BBB",
        "handler-calls-stop handler-calls-unprotect",
    ),
    (
        "the SMI handler's code and page tables lie in its SMRAM",
        "SBB",
        "handler-walks-outside handler-runs-outside handler-runs-page",
    ),
    ("the firmware's flash is the SMI handler's", "SSS", "handler-writes-flash"),
    (
        "TSEG is closed outside SMM",
        "BBB",
        "executive-reads-mseg executive-writes-tseg executive-clears-smram executive-vmcs-in-smram "
        "executive-vmxon-in-smram guest-reads-tseg guest-writes-tseg",
    ),
    (
        "D_LCK, SMI_LOCK, the lock of IA32_FEATURE_CONTROL and the flash's hold until the next reset",
        "BBB",
        "executive-opens-smram executive-shrinks-tseg executive-locks-features guest-opens-smram guest-stops-smis "
        "guest-locks-features guest-writes-flash",
    ),
    (
        "SDM, IA32_SMM_MONITOR_CTL: WRMSR outside SMM is #GP(0)",
        "BBB",
        "executive-writes-monitor-ctl guest-writes-monitor-ctl",
    ),
    (
        "StmApi.h: every other call is answered with a status, and changes nothing",
        "-BB",
        "executive-calls-handler-number executive-endless-list executive-wraps-list executive-initializes-twice "
        "executive-starts-twice executive-list-from-legacy executive-list-from-mseg executive-lists-into-mseg "
        "executive-lists-into-tseg executive-opens-mseg executive-protects-smram executive-log-in-smram "
        "executive-domain-in-smram executive-request-from-mseg",
    ),
    ("SDM, VMXOFF: VMfailValid under the dual-monitor treatment", "-BB", "executive-vmxoff"),
    (
        "the STM needs nothing that the executive monitor can spoil",
        "-BB",
        "executive-zeroes-vmcs executive-zeroes-vmxon",
    ),
    (
        "a guest's VMCALL and its accesses go to its own monitor",
        "BBB",
        "guest-calls-stop guest-opens-page guest-protects-page guest-reads-executive guest-writes-executive "
        "guest-vmxon",
    ),
    (
        "a device needs nobody's permission for memory outside TSEG; an IOMMU whose root table is empty stops it",
        "SSB",
        "device-writes-page device-reads-page device-writes-vmxon-region device-writes-executive "
        "device-writes-waking-vector handler-programs-dma-behind-iommu",
    ),
    ("no IOMMU stands before the machine's own fw_cfg", "SSS", "device-fwcfg-writes-page"),
    (
        "EPT binds the processor: what a device does for a handler is not the handler's access",
        "SSS",
        "handler-programs-dma",
    ),
    (
        "registers of a device are memory, too, and so are those of the IOMMU",
        "SSB",
        "handler-programs-protected-device handler-stops-iommu",
    ),
    (
        "the chipset keeps devices out of TSEG",
        "BBB",
        "device-reads-tseg device-writes-tseg device-reads-mseg device-fwcfg-writes-tseg",
    ),
    (
        "the firmware loads an image whose headers are sound",
        "-B-",
        "boot-wrong-revision boot-cut-image boot-bad-entry",
    ),
    ("it compares the image's hash with nothing", "-S-", "boot-changed-image"),
    ("the STM compares the hash of MSEG with the loader's", "-B-", "boot-changed-mseg"),
    ("the loader's is in MSEG, too", "-S-", "boot-changed-mseg-and-digest"),
)
EXPECTED = {
    name: tuple(OUTCOMES[letter] for letter in letters) for _words, letters, names in RULES for name in names.split()
}


@pytest.fixture(scope="module")
def carried_out(session_folder: Path) -> dict[str, Any]:
    """The document of ``run attacks``."""
    run = carry_out(("attacks",), session_folder)
    assert run.status == ExitCode.OK, run.output + run.errors
    document.validate(run.document)
    assert complaints(run.output) == []
    made: dict[str, Any] = run.document
    return made


def test_every_attack_has_a_rule() -> None:
    assert sorted(EXPECTED) == sorted(all_attacks())
    assert sum(len(names.split()) for _words, _letters, names in RULES) == len(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_outcome(name: str, carried_out: dict[str, Any]) -> None:
    (made,) = [attack for attack in carried_out["attacks"] if attack["name"] == name]
    assert tuple(made[column] for column in COLUMNS) == EXPECTED[name], made


def test_one_attack_tells_its_steps(session_folder: Path) -> None:
    """The secret that an SMI handler reads, and the exception that it meets in the last column."""
    result = carry_out(("attacks", "handler-reads-page"), session_folder)
    assert result.status == ExitCode.OK, result.output + result.errors
    read = re.findall(r"loot=smm\.read:8:page +(.+)", result.output)
    assert read == ["0x5ec2e7c0de5a1ad5", "0x5ec2e7c0de5a1ad5", "protection exception"]
    assert [attack["name"] for attack in result.document["attacks"]] == ["handler-reads-page"]
