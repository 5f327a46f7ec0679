# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A crash record in words: the reason's name, whose exit it was, symbol and source line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from elftools.common.exceptions import ELFError

from build_scripts.observation import crash, names
from build_scripts.observation.events import read_stream
from build_scripts.observation.symbols import Symbols, find_module
from build_scripts.sources import sources

from .streams import Logs

MSEG = 0x1FE00000  # of Logs.status()
SOURCE = "int second(int value)\n{\n  return value * 7;\n}\n\nint _start(int value)\n{\n  return second(value);\n}\n"


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program at the addresses that edk2 links a module to, made like one: relocations stay in the file."""
    folder = tmp_path_factory.mktemp("elf") / "SomePkg"
    output = folder.parent / "Build" / "SomePkg" / "DEBUG"
    output.mkdir(parents=True)
    folder.mkdir()
    (folder / "Code.c").write_text(SOURCE)
    command = ["gcc", "-g", "-O1", "-fno-inline", "-nostdlib", "-static", "-Wl,-q,-Ttext=0x1000", "-o", "stm"]
    command += ["../../../SomePkg/Code.c"]  # as edk2's link-time optimisation names it
    subprocess.run(command, cwd=output, check=True)
    return output / "stm"


def address_of(elf: Path, name: str) -> int:
    listing = subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True).stdout
    return int(next(line.split()[0] for line in listing.splitlines() if line.split()[-1] == name), 16)


def test_symbol_and_line(elf: Path) -> None:
    """The lines are those that binutils finds."""
    symbols = Symbols.read(elf)
    start = address_of(elf, "second")
    seen = set()
    for address in range(start, symbols.end):
        said = subprocess.run(
            ["addr2line", "-f", "-e", str(elf), hex(address)], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        found = re.fullmatch(r"(\w+)\+0x([0-9a-f]+), SomePkg/Code\.c:(\d+)", symbols.locate(address) or "")
        assert found is not None, symbols.locate(address)
        assert found[1] == said[0] and found[3] == said[1].rpartition(":")[2].split()[0]
        assert address - int(found[2], 16) == address_of(elf, found[1])
        seen.add(found[1])
    assert seen == {"second", "_start"}
    assert symbols.locate(symbols.end) is None and symbols.locate(0x10) is None


def test_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no")
    with pytest.raises(ELFError):
        Symbols.read(tmp_path / "x")


def test_modules(tmp_path: Path) -> None:
    log = tmp_path / "firmware.log"
    assert find_module(log, 0x1000) is None
    log.write_text(
        "Loading driver at 0x00000010000 EntryPoint=0x00000011000 First.efi\n"
        "other\n"
        "Loading SMM driver at 0x0001FD58000 EntryPoint=0x0001FD60AA0 VariableSmm.efi\n"
        "Loading driver at 0x00000010000 EntryPoint=0x00000011000 Second.efi\n"
    )
    assert find_module(log, 0x10123) == "Second.efi+0x123"
    assert find_module(log, 0x1FD58000) == "VariableSmm.efi+0x0"
    assert find_module(log, 0xFFFF) is None and find_module(log, 0x10000 + (1 << 20)) is None


def explained(logs: Logs, elf: Path | None = None) -> list[str]:
    stream = read_stream(logs.write())
    record = stream.first("STM", "crash") or stream.first("EXEC", "crash")
    assert record is not None
    return crash.explain(record, stream, logs.folder, elf)


def test_unexpected_exit_of_the_handler(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.status("enabled", "none")
    logs.transition("smm-exit", "guest", "stm", 5)
    logs.transition("handler-entry", "stm", "handler")
    logs.transition("handler-exit", "handler", "stm", 46)
    logs.stm("crash", "class=unexpected-exit cpu=0 reason=0x2e qual=0x0 rip=0x1fd58123 error=0x0 cr2=0x0")
    (tmp_path / "firmware.log").write_text("Loading SMM driver at 0x0001FD58000 EntryPoint=0x1 VariableSmm.efi\n")
    assert explained(logs) == [
        "exit reason 46: access to GDTR or IDTR, an exit of the SMI handler",
        "no row in the dispatch table of the STM (StmPkg/Stm/ExitTable.h)",
        "RIP 0x1fd58123: in VariableSmm.efi+0x123",
    ]


def test_exception_in_the_stm(tmp_path: Path, elf: Path) -> None:
    address = address_of(elf, "second")
    rip = MSEG + address
    logs = Logs(tmp_path)
    logs.status("enabled", "none")
    logs.stm("crash", f"class=exception cpu=0 reason=0xe qual=0x0 rip={rip:#x} error=0x10 cr2={MSEG:#x}")
    lines = explained(logs, elf)
    assert lines[0] == f"exception 14 (#PF), error code 0x10, linear address {MSEG:#x}"
    assert re.fullmatch(rf"RIP {rip:#x}: in the STM, second\+0x0, .*Code\.c:[23]", lines[1])


@pytest.mark.parametrize(
    ("place", "words"), [(0x10, "in MSEG, outside the STM's code"), (0x300000, "in no module that the firmware logged")]
)
def test_elsewhere(tmp_path: Path, elf: Path, place: int, words: str) -> None:
    logs = Logs(tmp_path)
    logs.status("enabled", "none")
    logs.stm("crash", f"class=exception cpu=0 reason=0x6 qual=0x0 rip={MSEG + place:#x} error=0x0 cr2=0x0")
    assert explained(logs, elf) == ["exception 6 (#UD), error code 0x0", f"RIP {MSEG + place:#x}: {words}"]


def test_symbols_that_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"no")
    logs = Logs(tmp_path / "run")
    logs.status("enabled", "none")
    logs.stm("crash", f"class=handler-triple-fault cpu=0 reason=0x2 qual=0x0 rip={MSEG + 0x2000:#x} error=0x0 cr2=0x0")
    assert "its symbols could not be read" in explained(logs, tmp_path / "bad")[-1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("class=bad-state error=0x6", "the processor refuses a VMCS in MSEG"),
        ("class=bad-state error=0x63", "no such state (99)"),
        ("class=protection-exception reason=0x30 error=0xc000f001", "exit reason 48: EPT violation"),
        ("class=protection-exception reason=0x30 error=0xc000f002", "or an SMI caused more than 100"),
        ("class=protection-exception reason=0x12 error=0xc000e003", "gave up, with its code 3"),
        ("class=handler-timeout reason=0x34 error=0x1", "the SMI handler ran longer than PcdStmHandlerLimit"),
        ("class=handler-timeout reason=0x34 error=0x3", "the firmware's tear-down code ran longer"),
        (
            "class=snapshot-full reason=0x30 error=0x40",
            "the SMI handler touched 0x0, and none of the 64 pages for copies was free (PcdStmSnapshotPages)",
        ),
        ("class=image-modified reason=0x0 error=0x0", "the static part of MSEG is not what the loader hashed"),
        (
            "class=entry-failure reason=0x80000021 error=0x0",
            "exit reason 33: VM-entry failure due to invalid guest state",
        ),
        ("class=entry-failure reason=0x11 error=0x4", "VM-instruction error 4: VMLAUNCH with non-clear VMCS"),
        ("class=unexpected-exit reason=0x77 error=0x0", "exit reason 119: no such exit reason (119)"),
    ],
)
def test_classes_of_the_stm(tmp_path: Path, fields: str, words: str) -> None:
    logs = Logs(tmp_path)
    logs.stm("crash", f"{fields} cpu=0 qual=0x0 rip=0x0 cr2=0x0")
    assert any(words in line for line in explained(logs))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("class=guest-triple-fault reason=0x2", "exit reason 2: triple fault"),
        ("class=unexpected-exit reason=0xb", "no row in the dispatch table of the executive monitor"),
        ("class=unexpected-exit reason=0x1c", "an access that the executive monitor does not emulate"),
        ("class=resume-failed reason=0x5", "VM-instruction error 5: VMRESUME with non-launched VMCS"),
        ("class=exception reason=0xd", "exception 13 (#GP), error code 0x0"),
    ],
)
def test_classes_of_the_executive_monitor(tmp_path: Path, fields: str, words: str) -> None:
    logs = Logs(tmp_path)
    logs.record("executive.log", "EXEC", "crash", f"{fields} qual=0x0 rip=0x0 address=0x0")
    assert words in explained(logs)


def test_numbers_are_those_of_the_c_sources(checkout: Path) -> None:
    """Every exit reason and state that the C code names has a name here, and the same number."""
    header = (checkout / "StmPkg/Include/Register/Vmx.h").read_text()
    reasons = {int(number) for number in re.findall(r"#define VMX_REASON_(?!COUNT)\w+ +(\d+)$", header, re.MULTILINE)}
    assert len(reasons) > 50 and reasons <= set(names.EXIT_REASONS)
    for word in ("CPUID", "RSM", "VMCALL", "RDMSR", "WRMSR", "XSETBV", "XRSTORS", "MWAIT", "INVEPT"):
        found = re.search(rf"#define VMX_REASON_{word} +(\d+)$", header, re.MULTILINE)
        assert found is not None and names.EXIT_REASONS[int(found[1])] == word
    sources = "".join(path.read_text() for path in sorted((checkout / "StmPkg/Stm").rglob("*.h")))
    states = {int(number) for number in re.findall(r"^ +StmBad\w+ += (\d+)", sources, re.MULTILINE)}
    assert states == set(crash.BAD_STATES)


def test_shell_statuses_are_the_shells() -> None:
    header = (sources.edk2_dir() / "MdePkg/Include/Protocol/Shell.h").read_text()
    block = re.search(r"typedef enum \{(.*?)\} SHELL_STATUS;", header, re.DOTALL)
    assert block is not None
    known = {int(number): word for word, number in re.findall(r"SHELL_(\w+) += (\d+)", block[1])}
    assert known.pop(0) == "SUCCESS"
    assert {number: word.lower().replace("_", " ") for number, word in known.items()} == names.SHELL_STATUSES
