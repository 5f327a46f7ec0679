# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the SMI entry code must not do: set CR4.MCE before the IDT, or touch data before EFER.NXE."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from build_scripts.sources import sources

SOURCE = Path("StmPkg/Firmware/SmmCpuFeaturesLib/X64/SmiEntry.nasm")
MCE = 0x40
EFER = 0xC0000080
NXE = 0x800
# Labels are local to the source; the disassembler needs the parts' widths.
PARTS = {"Template": 16, "ProtectedEntry": 32, "LongEntry": 64, "StmEntry": 64}


@pytest.fixture(scope="module")
def parts(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Instructions of each part of the template, in order."""
    folder = tmp_path_factory.mktemp("smi-entry")
    prefix = folder / "prefix.inc"
    prefix.write_text("%define ASM_PFX(x) x\n", encoding="ascii")
    include = sources.edk2_dir() / "UefiCpuPkg" / "Include"
    binary = folder / "entry.o"
    command = ["nasm", "-f", "elf64", "-P", str(prefix), f"-I{include}/", "-o", str(binary), str(checkout / SOURCE)]
    subprocess.run(command, check=True)
    text = subprocess.run(["nm", str(binary)], check=True, capture_output=True, text=True).stdout
    symbols = {line.split()[-1]: int(line.split()[0], 16) for line in text.splitlines() if line[0] != " "}
    code = folder / "text.bin"
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", str(binary), str(code)], check=True)
    bounds = [*(symbols[name] for name in PARTS), symbols["Parameters"]]
    return {
        name: _instructions(code, bits, bounds[index], bounds[index + 1])
        for index, (name, bits) in enumerate(PARTS.items())
    }


def _instructions(code: Path, bits: int, start: int, end: int) -> list[str]:
    machine = {16: "i8086", 32: "i386", 64: "i386:x86-64"}[bits]
    command = ["objdump", "-D", "-b", "binary", "-m", machine, "-M", "intel", "--no-show-raw-insn"]
    command += [f"--start-address={start}", f"--stop-address={end}", str(code)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [re.sub(r"\s+", " ", match[1]).strip() for match in re.finditer(r"^\s*[0-9a-f]+:\s+(.*)$", text, re.M)]


def position(instructions: list[str], pattern: str) -> int:
    found = [index for index, text in enumerate(instructions) if re.match(pattern, text)]
    assert len(found) == 1, f"{pattern} in {instructions}"
    return found[0]


def test_cr4_has_no_mce_before_the_idt_is_loaded(parts: dict[str, list[str]]) -> None:
    early = parts["ProtectedEntry"]
    write = position(early, "mov cr4,eax")
    value = re.fullmatch(r"mov eax,(0x[0-9a-f]+)", early[write - 1])
    assert value and not int(value[1], 16) & MCE
    assert not any(re.search("cr4|lidt", text) for text in parts["Template"])


@pytest.mark.parametrize("name", ["LongEntry", "StmEntry"])
def test_cr4_gets_mce_after_the_idt_is_loaded(parts: dict[str, list[str]], name: str) -> None:
    instructions = parts[name]
    idt, write = position(instructions, "lidt"), position(instructions, "mov cr4,rax")
    assert idt < write
    value = re.fullmatch(r"(?:or|mov) eax,(0x[0-9a-f]+)", instructions[write - 1])
    assert value and int(value[1], 16) & MCE


def test_the_stms_path_costs_one_msr_read_where_nxe_is_set(parts: dict[str, list[str]]) -> None:
    """A monitor that has set EFER.NXE, as ours has, is asked for EFER once and nothing else."""
    instructions = parts["StmEntry"]
    accesses = [index for index, text in enumerate(instructions) if re.match("rdmsr|wrmsr|cpuid", text)]
    first, idt = accesses[0], position(instructions, "lidt")
    assert instructions[first - 1] == f"mov ecx,{EFER:#x}" and instructions[first] == "rdmsr"
    assert instructions[first + 1] == f"test eax,{NXE:#x}"
    skip = re.fullmatch(r"jne (0x[0-9a-f]+)", instructions[first + 2])
    # All other accesses lie between this jump and the instruction that it goes to.
    assert skip and [index for index in accesses[1:] if index < first + 2 or index > idt] == []
    jumps = [text for text in instructions[:idt] if text.endswith(skip[1])]
    assert len(jumps) == 2, "processors without XD go the same way"


def test_the_stms_path_touches_no_data_before_nxe_is_set(parts: dict[str, list[str]]) -> None:
    """Bit 63 of the page-table entries of stack and data is reserved until then; the copy itself is code."""
    instructions = parts["StmEntry"]
    early = instructions[: position(instructions, "lidt")]
    assert not any(re.match("push|pop|call|ret|int|iret", text) for text in early)
    operands = [text for text in early if "[" in text]
    assert len(operands) == 1 and all("[rip+" in text for text in operands)
