# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU's monitor tells of VMX operation: x-query-vmx in every mode, `info vmx`, and the GDB command `vmx`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from build_scripts.conformance.image_table import STOCK_CPU
from tests.machine.places import SECONDS, Cpu, Session
from tests.unit.test_names import sdm_fields

pytestmark = pytest.mark.machine

IMAGE = ("t_query.c",)
PATTERN = 0xA5A5_F00D_5A5A_0000
REVISION = 0x5354_4D02
MSEG_BASE = (64 << 20) - (2 << 20)
WIDTHS = (0xFFFF, 2**64 - 1, 0xFFFF_FFFF, 2**64 - 1)
READ_ONLY = 1  # the type of exit-information fields


def region(cpu: Cpu, role: str) -> dict[str, Any]:
    """The VMCS of a role."""
    (found,) = [vmcs for vmcs in cpu["vmcs"] if role in vmcs["roles"]]
    assert isinstance(found, dict)
    return found


def field(vmcs: dict[str, Any], name: str) -> int:
    """What a field holds."""
    (value,) = [entry["value"] for entry in vmcs["fields"] if entry["name"] == name]
    return int(value)


@pytest.fixture
def session(qemu: Path, tmp_path: Path) -> Iterator[Session]:
    with Session(qemu, tmp_path, IMAGE) as made:
        yield made


def _pointers(cpu: Cpu) -> dict[str, int]:
    names = ("vmxon-pointer", "current-vmcs", "smm-transfer-vmcs", "executive-vmcs", "interrupted-vmcs")
    return {name: cpu[name] for name in names if name in cpu}


def _to_root(session: Session) -> None:
    """Outside VMX operation, in and outside SMM."""
    cpu = session.at("none")
    assert cpu == {
        "cpu-index": 0, "mode": "none", "dual-monitor-supported": True, "dual-monitor-active": False,
        "smis-blocked": False, "smm-monitor-ctl": 0, "vmcs": [],
    }  # fmt: skip
    session.go()
    cpu = session.at("smm")
    assert cpu["mode"] == "smm" and cpu["smis-blocked"] and "interrupted-mode" not in cpu
    session.go()


def test_default_treatment(session: Session, checkout: Path) -> None:
    """Off, root, guest, SMI handlers that interrupt them; fields by name and value; the check behind each failure."""
    _to_root(session)
    cpu = session.at("root")
    assert cpu["mode"] == "root" and _pointers(cpu) == {"vmxon-pointer": session.value("vmxon")}
    assert cpu["smm-monitor-ctl"] == MSEG_BASE | 1 and not cpu["dual-monitor-active"]
    # Read as in SMM: it is closed to whom runs now.
    assert cpu["mseg-header"]["eip-offset"] == 0x2000 and cpu["mseg-header"]["features"] == 1
    failure = cpu["last-failure"]
    assert failure.pop("rip") > 0
    assert failure == {
        "instruction": "VMPTRLD", "result": "vm-fail-invalid", "number": 0, "rule": "VMX-INS-24",
        "section": "VMX Instructions (30.3)", "field": "OPERAND", "value": session.value("vmxon"),
        "demand": "not the VMXON pointer",
    }  # fmt: skip
    session.go()
    cpu = session.at("smm")
    assert cpu["mode"] == "smm" and cpu["interrupted-mode"] == "root" and "interrupted-vmcs" not in cpu
    session.go()

    cpu = session.at("root-with-vmcs")
    assert cpu["last-failure"]["result"] == "vm-fail-valid" and cpu["last-failure"]["number"] == 10
    vmcs = region(cpu, "current")
    assert vmcs["address"] == cpu["current-vmcs"] == session.value("current")
    assert (vmcs["revision"], vmcs["launched"], vmcs["abort-indicator"]) == (REVISION, False, 0)
    names = sdm_fields(checkout)
    assert len(vmcs["fields"]) == session.value("fields") > 130
    for entry in vmcs["fields"]:
        encoding = entry["encoding"]
        assert "VMCS_" + entry["name"] == names[encoding]
        written = (PATTERN + encoding) & WIDTHS[encoding >> 13 & 3]
        error = 10 if entry["name"] == "INSTRUCTION_ERROR" else 0
        assert entry["value"] == (error if encoding >> 10 & 3 == READ_ONLY else written), entry
    session.go()

    cpu = session.at("guest")
    assert cpu["mode"] == "guest" and cpu["current-vmcs"] == session.value("current")
    assert region(cpu, "current")["launched"]
    session.go()
    cpu = session.at("root-after-failure")
    failure = cpu["last-failure"]
    told = (failure["instruction"], failure["result"], failure["number"], failure["rule"], failure["field"])
    assert told == ("VMRESUME", "entry-failure", 33, "VMX-GST-40", "GUEST_RFLAGS")
    assert failure["encoding"] == 0x6820 and failure["section"] == "Checks on Guest RIP, RFLAGS, and SSP (26.3.1.4)"
    assert field(region(cpu, "current"), "EXIT_REASON") == 0x8000_0021


def _to_activation(session: Session) -> None:
    for place in ("none", "smm", "root", "smm", "root-with-vmcs", "guest", "root-after-failure"):
        session.at(place)
        session.go()


def test_dual_monitor_treatment(session: Session) -> None:
    """STM, its SMM guest, its return, an interrupted guest."""
    _to_activation(session)
    cpu = session.at("root-not-activated")
    assert (cpu["last-failure"]["instruction"], cpu["last-failure"]["rule"]) == ("VMCALL", "DM-ACT-10")
    session.go()

    cpu = session.at("stm")
    vmxon = session.value("vmxon")
    assert cpu["mode"] == "stm" and cpu["dual-monitor-active"] and cpu["smis-blocked"]
    assert _pointers(cpu)["executive-vmcs"] == vmxon  # root operation was interrupted
    assert cpu["current-vmcs"] == session.value("transfer")
    session.go()

    cpu = session.at("handler")
    assert cpu["mode"] == "handler"
    assert cpu["current-vmcs"] == session.value("smm-guest") != cpu["smm-transfer-vmcs"] == session.value("transfer")
    assert [vmcs["roles"] for vmcs in cpu["vmcs"]] == [["current"], ["smm-transfer"]]
    session.go()

    cpu = session.at("stm-from-guest")
    assert cpu["mode"] == "stm" and cpu["executive-vmcs"] == session.value("current")
    assert [vmcs["roles"] for vmcs in cpu["vmcs"]] == [["current", "smm-transfer"], ["executive"]]
    assert field(region(cpu, "current"), "EXECUTIVE_VMCS_POINTER") == cpu["executive-vmcs"]
    assert field(region(cpu, "current"), "EXIT_REASON") in (5, 6)
    assert region(cpu, "executive")["launched"]
    session.go()

    cpu = session.at("guest-of-the-executive")
    assert cpu["mode"] == "guest" and cpu["dual-monitor-active"] and "executive-vmcs" not in cpu
    # In SMRAM, which is closed to the guest.
    assert MSEG_BASE <= cpu["smm-transfer-vmcs"] < MSEG_BASE + (1 << 20)
    assert region(cpu, "smm-transfer")["revision"] == REVISION
    session.go()
    assert session.at("root-under-the-stm")["mode"] == "root"


def test_info_vmx(session: Session) -> None:
    """The same for a person."""
    assert session.at("none")["mode"] == "none"
    assert session.hmp("info vmx").splitlines() == [
        "CPU#0: mode none; dual-monitor treatment not active; SMIs not blocked",
        "  IA32_SMM_MONITOR_CTL   0x0",
    ]
    session.go()
    for place in ("smm", "root", "smm", "root-with-vmcs", "guest"):
        session.at(place)
        session.go()
    session.at("root-after-failure")
    short, long = session.hmp("info vmx 0"), session.hmp("info vmx -v 0")
    current = session.value("current")
    assert "CPU#0: mode root; dual-monitor treatment not active; SMIs not blocked" in short
    assert re.search(r"  last failure: VMRESUME at 0x\w+: VM-entry failure, exit reason 33", short)
    assert "    VMX-GST-40: GUEST_RFLAGS is 0x0; demanded: reserved bits" in short
    assert "    SDM volume 3, Checks on Guest RIP, RFLAGS, and SSP (26.3.1.4)" in short
    assert f"  VMCS 0x{current:x}: current, launched, revision 0x{REVISION:x}, abort indicator 0" in short
    assert "GUEST_CR3" not in short
    assert re.search(r"^    4402 EXIT_REASON +0x80000021$", long, re.MULTILINE)
    assert len(re.findall(r"^    [0-9a-f]{4} [A-Z0-9_]+ +0x[0-9a-f]+$", long, re.MULTILINE)) == session.value("fields")
    assert session.hmp("info vmx 7").strip() == "Error: there is no CPU 7"
    assert session.qmp("x-query-vmx", **{"cpu-index": 7})["desc"] == "there is no CPU 7"


def test_each_processor(qemu: Path, tmp_path: Path) -> None:
    """All, or the one that is asked for."""
    with Session(qemu, tmp_path, IMAGE, "-smp", "3", "-S", cpu=STOCK_CPU) as session:
        cpus = session.qmp("x-query-vmx")
        assert [cpu["cpu-index"] for cpu in cpus] == [0, 1, 2]
        assert all(cpu["mode"] == "none" and not cpu["dual-monitor-supported"] for cpu in cpus)
        assert session.qmp("x-query-vmx", **{"cpu-index": 2}) == cpus[2:]


def test_gdb_command(session: Session, checkout: Path) -> None:
    """`vmx` in a session with the gdb stub, which stops the machine."""
    assert shutil.which("gdb"), "the Debian package gdb is needed"
    _to_root(session)
    session.at("root")
    commands = ("target remote " + str(session.gdb), "vmx short", "vmx", "vmx all", "vmx none", "detach")
    script = checkout / "Platform" / "QemuVmx" / "gdb" / "vmx.py"
    arguments = ["gdb", "-nx", "-batch", "-x", str(script), *(word for line in commands for word in ("-ex", line))]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
    said = done.stdout + done.stderr  # what the stub's monitor says is no output of GDB
    assert said.count("CPU#0: mode root; dual-monitor treatment not active; SMIs not blocked") == 3
    assert said.count("VMX-INS-24: OPERAND") == 3
    assert "vmx takes 'short', 'all' or nothing, not 'none'" in said
