# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``kvm``: a program of one's own, findings, and what counts as a failure."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.commands import run as command
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import kvm
from build_scripts.experiments.experiment import Request
from build_scripts.linux import initramfs, kernel
from build_scripts.linux.boot import COMMAND_LINE, Finding, LinuxRun, boot_linux, parse_console
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


# A boot in which each step did something and nothing went wrong.
GOOD = (
    Finding("boot", {"kernel": "6.1.0-x", "cpus": "2"}),
    Finding("module", {"name": "kvm-intel.ko", "error": "0"}),
    Finding("step", {"name": "kvm"}),
    Finding("kvm", {"test": "spin", "trace": "interrupted"}),
    Finding("step", {"name": "guest"}),
    Finding("guest", {"ended": "shutdown"}),
    Finding("log", {"lines": "700", "bad": "0"}),
)


def problems(run: LinuxRun, request: Request | None = None) -> str:
    """The expectations that fail, in words."""
    found = kvm.Kvm().expectations(kvm.KvmSeen(request or Request(experiment="kvm"), run))
    return "\n".join(expectation.complaint() for expectation in found if not expectation.passed)


def run_of(*findings: Finding) -> LinuxRun:
    return LinuxRun(Path("/nowhere"), Ending("guest-shutdown", 0, 1.0), findings)


def test_own_program(qemu: Path, tmp_path: Path) -> None:
    source = tmp_path / "own.c"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "own"), str(source)], check=True)
    run = boot_linux(qemu, build_firmware(), kernel.locate(), program=tmp_path / "own")
    assert run.program_output() == "version 12\n", run.run_dir
    request = Request(experiment="kvm", program=tmp_path / "own")
    assert problems(run, request) == "how the program ends: expected status 0, saw status 3"


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
    assert problems(run_of(*GOOD, finding)).endswith(problem)


def test_good_run_has_no_problem() -> None:
    assert problems(run_of(*GOOD)) == ""


@pytest.mark.parametrize("missing", range(len(GOOD)))
def test_what_did_not_happen_is_a_problem(missing: int) -> None:
    """A step that began and did nothing, a log that nobody read: not one is passed over."""
    rest = [finding for index, finding in enumerate(GOOD) if index != missing]
    assert bool(problems(run_of(*rest))) == (GOOD[missing].name != "step")


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (None, "No such file"),
        (["-xc", "-c"], "not an ELF program"),
        (["-m32", "-c", "-xc"], "program for x86"),
        (["-xc"], r"needs /lib64/ld-linux-x86-64\.so\.2.*\n?.*gcc -static"),
    ],
    ids=["missing", "text", "32-bit", "dynamic"],
)
def test_unusable_program_is_refused(flags: list[str] | None, error: str, tmp_path: Path) -> None:
    """A dynamic program is refused by name with the remedy, not run to status 127."""
    program = tmp_path / "own"
    if flags == ["-xc", "-c"]:
        program.write_text(PROGRAM)
    elif flags is not None:
        text = "int main(void) { return 0; }"
        subprocess.run(["gcc", *flags, "-o", str(program), "-"], input=text, text=True, check=True)
    with pytest.raises(LabError) as caught:
        command.run(Request(experiment="kvm", program=program))
    assert caught.value.code == ExitCode.USAGE
    assert re.search(error, str(caught.value))


def test_panic_is_told(qemu: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that panics says why, on the screen and not only in a log."""
    monkeypatch.setattr(kvm, "extended_qemu", lambda: qemu)
    code = command.run(Request(experiment="kvm", kernel_args=("rdinit=/nothing", "root=/dev/nothing")))
    assert code == ExitCode.GUEST_HUNG
    assert "the kernel panicked: VFS: Unable to mount root fs" in capsys.readouterr().err


def test_timer_check_is_off() -> None:
    """A loaded host makes the kernel's own check of its timer fail and panic; it is told not to make it."""
    assert "no_timer_check" in COMMAND_LINE
    guest = (initramfs.SOURCES / "linux_guest.c").read_text()
    assert "no_timer_check" in guest.partition("fixed_words[] =")[2].partition(";")[0]


def test_compressed_modules(tmp_path: Path) -> None:
    """Modules are compressed in Debian 13 and in the backports."""
    folder = tmp_path / "lib" / "modules" / "6.12" / "kernel"
    folder.mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.12").write_bytes(b"image")
    contents = {"efivarfs": b"", "msr": b"", "button": b"", "irqbypass": b"", "kvm": b"irqbypass", "kvm_intel": b"kvm"}
    elf = {name: b"\x7fELF license=GPL\0depends=" + depends + b"\0" for name, depends in contents.items()}
    for name in ("efivarfs", "msr", "button"):
        (folder / f"{name}.ko").write_bytes(elf[name])
    (folder / "irqbypass.ko.gz").write_bytes(gzip.compress(elf["irqbypass"]))
    for name in ("kvm", "kvm_intel"):
        (folder / f"{name}.ko.xz").write_bytes(lzma.compress(elf[name]))
    target = tmp_path / "out"
    target.mkdir()
    kernel.take_apart(tmp_path, "6.12-1", target)
    found = kernel.Kernel.in_folder(target)
    assert [path.stem for path in found.modules] == list(contents)
    for path in found.modules:
        assert path.read_bytes() == elf[path.stem]


def test_modules_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "modules" / "6.12"
    folder.mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.12").write_bytes(b"image")
    (folder / "msr.ko.zst").write_bytes(b"(\xb5/\xfd")
    with pytest.raises(LabError, match=r"module msr\.ko\.zst: modules compressed with zst cannot be read"):
        kernel.take_apart(tmp_path, "6.12-1", tmp_path)


def test_damaged_module_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kvm.ko.xz"
    path.write_bytes(lzma.compress(b"\x7fELF")[:-4])
    with pytest.raises(LabError, match=r"module kvm\.ko\.xz cannot be decompressed"):
        kernel.module_content(path)


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
