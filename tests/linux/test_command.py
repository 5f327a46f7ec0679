# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``linux``: a program of one's own, findings, and what counts as a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.commands import linux
from build_scripts.errors import ExitCode, LabError
from build_scripts.linux import kernel
from build_scripts.linux.boot import Finding, LinuxRun, boot_linux, parse_console
from build_scripts.linux.cpio import archive
from build_scripts.machine.machine import Ending

PROGRAM = r"""
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
int main(void)
{
    printf("version %d\n", ioctl(open("/dev/kvm", O_RDWR), KVM_GET_API_VERSION, 0));
    return 3;
}
"""


def run_of(*findings: Finding) -> LinuxRun:
    return LinuxRun(Path("/nowhere"), Ending("guest-shutdown", 0, 1.0), findings)


def test_own_program(qemu: Path, tmp_path: Path) -> None:
    source = tmp_path / "own.c"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "own"), str(source)], check=True)
    run = boot_linux(qemu, build_firmware(), kernel.locate(), program=tmp_path / "own")
    assert run.program_output() == "version 12\n", run.run_dir
    assert linux.problems(run) == ["the program ended with status 3"]


def test_findings_are_read() -> None:
    text = (
        "[    3.1] lab: module name=kvm-intel.ko error=0 parameters=ept=0 vpid=0\r\n"
        "[    3.2] kvm: lab: no\r\n"
        "[   13.3] lab: kvm test=real trace=out1:10=41 hlt\r\n"
        "[   13.3] lab: log-line level=3 text=a=b c\r\n"
    )
    assert parse_console(text) == (
        Finding("module", {"name": "kvm-intel.ko", "error": "0", "parameters": "ept=0 vpid=0"}),
        Finding("kvm", {"test": "real", "trace": "out1:10=41 hlt"}),
        Finding("log-line", {"level": "3", "text": "a=b c"}),
    )


@pytest.mark.parametrize(
    ("finding", "problem"),
    [
        (Finding("module", {"name": "kvm-intel.ko", "error": "95"}), "kvm-intel.ko was refused (errno 95)"),
        (Finding("kvm", {"test": "smp", "trace": "hangs"}), "guest program smp: hangs"),
        (Finding("kvm", {"test": "real", "trace": "out1:10=41 fail-entry:21"}), "real: out1:10=41 fail-entry:21"),
        (Finding("guest", {"ended": "interrupted"}), "the Linux guest ended by interrupted"),
        (Finding("log-line", {"level": "4", "text": "WARNING: CPU"}), "kernel log: WARNING: CPU"),
    ],
)
def test_problem_is_named(finding: Finding, problem: str) -> None:
    (found,) = linux.problems(run_of(finding))
    assert found.endswith(problem)


def test_good_run_has_no_problem() -> None:
    good = Finding("kvm", {"test": "spin", "trace": "interrupted"})
    assert linux.problems(run_of(good, Finding("guest", {"ended": "shutdown"}))) == []


def test_missing_program_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        linux.run(linux.LinuxRequest(program=tmp_path / "nothing"))
    assert caught.value.code == ExitCode.USAGE


def test_load_order(tmp_path: Path) -> None:
    dependencies = {"irqbypass": b"", "kvm": b"irqbypass", "kvm-intel": b"kvm"}
    files = {}
    for name, depends in dependencies.items():
        files[name] = tmp_path / f"{name}.ko"
        files[name].write_bytes(b"\x7fELF license=GPL\0depends=" + depends + b"\0")
    order = kernel.load_order(files, ("kvm-intel",))
    assert [path.stem for path in order] == ["irqbypass", "kvm", "kvm-intel"]
    with pytest.raises(LabError, match="no module kvm-amd"):
        kernel.load_order(files, ("kvm-amd",))


def test_archive() -> None:
    made = archive(("dev",), {"init": b"12345"}, ("init",))
    assert made == archive(("dev",), {"init": b"12345"}, ("init",))
    assert made.count(b"070701") == 3 and len(made) % 4 == 0
    header = made[made.index(b"init\0") - 110 :]
    assert header[14:22] == b"%08X" % 0o100755 and header[54:62] == b"00000005" and header[116:121] == b"12345"
    assert made.rstrip(b"\0").endswith(b"TRAILER!!!")
