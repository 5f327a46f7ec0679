# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exit/Decode.c against an assembler: every form of MOV with memory, and what must be refused."""

from __future__ import annotations

import ctypes
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.conftest import Build

LONGEST = 15


class Move(ctypes.Structure):
    """STM_MOVE."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("write", ctypes.c_uint8),
        ("has_immediate", ctypes.c_uint8),
        ("immediate", ctypes.c_uint64),
        ("register", ctypes.c_uint32),
        ("register_size", ctypes.c_uint32),
        ("high_byte", ctypes.c_uint8),
        ("sign_extended", ctypes.c_uint8),
    )


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library("decode", "StmPkg/Stm/Exit/Decode.c")
    library.StmDecodeMove.restype = ctypes.c_ubyte
    for function in (library.StmMoveLoaded, library.StmMoveStored):
        function.restype = ctypes.c_uint64
    return library


def decode(library: ctypes.CDLL, code: bytes, mode64: bool = True) -> Move | None:
    """The instruction at the start of some bytes, behind which nothing can be read."""
    move = Move()
    buffer = ctypes.create_string_buffer(code, len(code))
    good = library.StmDecodeMove(buffer, ctypes.c_uint64(len(code)), ctypes.c_ubyte(mode64), ctypes.byref(move))
    return move if good else None


def assemble(work: Path, lines: list[str], bits: int) -> list[bytes]:
    """The bytes of each line, by GNU as; its listing gives address and code."""
    source, listing = work / "code.s", work / "code.lst"
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    command = ["as", f"--{bits}", f"-aln={listing}", "--listing-lhs-width=4", "-o", str(work / "code.o"), str(source)]
    subprocess.run(command, check=True)
    found: list[bytes] = []
    for line in listing.read_text(encoding="ascii").splitlines():
        words = line.split()
        if len(words) > 3 and words[0].isdecimal():
            code = "".join(word for word in words[2 : words.index(next(w for w in words[2:] if not _is_hex(w)))])
            found.append(bytes.fromhex(code))
    return found


def _is_hex(word: str) -> bool:
    return len(word) % 2 == 0 and all(character in "0123456789ABCDEF" for character in word)


OPERANDS64 = (
    *("(%rax)", "(%rsp)", "(%rbp)", "(%r12)", "(%r13)", "0x7f(%rdi)", "-0x80(%rsp)", "0x12345678(%r15)"),
    *("(%rax,%rbx,4)", "0x10(%r13,%r12,8)", "0x100(,%rcx,2)", "0x12345678(%rbp,%r9)", "0x11223344", "0x10(%rip)"),
    *("%fs:(%rdi)", "%gs:8(%rsi)", "(%eax)", "8(%r8d,%r9d,2)"),
)
# AH, CH, DH and BH cannot be named together with these.
NEEDS_REX = re.compile(r"%r(8|9|1\d)")
OPERANDS32 = (
    "(%eax)",
    "(%esp)",
    "(%ebp)",
    "0x7f(%edi)",
    "0x12345678(%esi)",
    "(%eax,%ebx,4)",
    "0x11223344",
    "%fs:(%ecx)",
)


@dataclass(frozen=True)
class Form:
    """An instruction with `M` for its operand in memory, and what it is."""

    text: str
    size: int
    register_size: int
    register: int = 0
    write: bool = False
    immediate: int | None = None
    high: bool = False
    signed: bool = False
    only64: bool = False


FORMS = (
    Form("movb M,%al", 1, 1, 0),
    Form("movb M,%bh", 1, 1, 3, high=True),
    Form("movb M,%dil", 1, 1, 7, only64=True),
    Form("movb M,%r14b", 1, 1, 14, only64=True),
    Form("movw M,%dx", 2, 2, 2),
    Form("movl M,%ebx", 4, 4, 3),
    Form("movl M,%r9d", 4, 4, 9, only64=True),
    Form("movq M,%rsi", 8, 8, 6, only64=True),
    Form("movq M,%r15", 8, 8, 15, only64=True),
    Form("movb %cl,M", 1, 1, 1, write=True),
    Form("movb %ah,M", 1, 1, 0, write=True, high=True),
    Form("movb %spl,M", 1, 1, 4, write=True, only64=True),
    Form("movw %bp,M", 2, 2, 5, write=True),
    Form("movl %esp,M", 4, 4, 4, write=True),
    Form("movq %r8,M", 8, 8, 8, write=True, only64=True),
    Form("movb $0x85,M", 1, 1, write=True, immediate=0x85),
    Form("movw $0x1234,M", 2, 2, write=True, immediate=0x1234),
    Form("movl $0x89abcdef,M", 4, 4, write=True, immediate=0x89ABCDEF),
    Form("movq $-2,M", 8, 8, write=True, immediate=2**64 - 2, only64=True),
    Form("movzbw M,%cx", 1, 2, 1),
    Form("movzbl M,%edx", 1, 4, 2),
    Form("movzwl M,%ebx", 2, 4, 3),
    Form("movzbq M,%r10", 1, 8, 10, only64=True),
    Form("movsbw M,%ax", 1, 2, 0, signed=True),
    Form("movsbl M,%esi", 1, 4, 6, signed=True),
    Form("movswl M,%edi", 2, 4, 7, signed=True),
    Form("movswq M,%r11", 2, 8, 11, signed=True, only64=True),
    Form("movslq M,%rcx", 4, 8, 1, signed=True, only64=True),
)
MOFFS = (
    Form("movabsb 0x1122334455667788,%al", 1, 1, 0),
    Form("movabsl 0x1122334455667788,%eax", 4, 4, 0),
    Form("movabsq %rax,0x1122334455667788", 8, 8, 0, write=True),
)


@pytest.mark.parametrize("bits", [64, 32])
def test_every_form(library: ctypes.CDLL, tmp_path: Path, bits: int) -> None:
    operands = OPERANDS64 if bits == 64 else OPERANDS32
    cases = [
        (form, form.text.replace("M", operand))
        for form in FORMS
        if bits == 64 or not form.only64
        for operand in operands
        if not (form.high and NEEDS_REX.search(operand))
    ]
    cases += [(form, form.text) for form in MOFFS if bits == 64]
    codes = assemble(tmp_path, [text for _, text in cases], bits)
    assert len(codes) == len(cases) >= 130
    for (form, text), code in zip(cases, codes, strict=True):
        assert decode(library, code[:-1], bits == 64) is None, f"{text}: cut"
        move = decode(library, code + b"\x90" * (LONGEST - len(code)), bits == 64)
        assert move is not None, f"{text}: {code.hex()}"
        assert move.length == len(code), text
        assert (move.size, bool(move.write)) == (form.size, form.write), text
        if form.immediate is not None:
            mask = (1 << 8 * form.size) - 1
            assert library.StmMoveStored(ctypes.byref(move), ctypes.c_uint64(0x5A5A)) == form.immediate & mask, text
            continue
        assert (move.register, move.register_size, bool(move.high_byte)) == (
            form.register,
            form.register_size,
            form.high,
        ), text
        assert bool(move.sign_extended) == form.signed, text


REFUSED = (
    *("orl %eax,(%rdi)", "xchg %eax,(%rdi)", "addb $1,(%rdi)", "incl (%rdi)", "testl %eax,(%rdi)", "cmpl (%rdi),%eax"),
    *("movl %eax,%ebx", "movzbl %al,%ebx", "movsl", "stosl", "lodsb", "pushq (%rdi)", "popq (%rdi)", "call *(%rdi)"),
    *("movntil %eax,(%rdi)", "lock incl (%rdi)", "movd (%rdi),%xmm0", "movups (%rdi),%xmm0", "movq (%rdi),%mm0", "nop"),
    *("ud2", "movl %cr0,%rax", "bt %eax,(%rdi)", "cmpxchg %ecx,(%rdi)", "rep movsb", "movbe (%rdi),%eax"),
)


def test_everything_else_is_refused(library: ctypes.CDLL, tmp_path: Path) -> None:
    lines = [text.replace("movl %cr0", "movq %cr0") for text in REFUSED]
    for text, code in zip(lines, assemble(tmp_path, lines, 64), strict=True):
        assert decode(library, code + b"\x90" * (LONGEST - len(code))) is None, text


@pytest.mark.parametrize("code", ["f0 8907", "f3 8907", "f2 8907", "c7 0f 00000000", "66 48"], ids=str)
def test_no_such_instruction(library: ctypes.CDLL, code: str) -> None:
    """LOCK and REP before MOV, C7 with another digit than /0, prefixes alone."""
    assert decode(library, bytes.fromhex(code)) is None


def test_rex_counts_only_before_the_opcode(library: ctypes.CDLL) -> None:
    move = decode(library, bytes.fromhex("48 66 8b07"))
    assert move is not None
    assert (move.size, move.length) == (2, 4)


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=20), st.booleans())
def test_any_bytes(library: ctypes.CDLL, code: bytes, mode64: bool) -> None:
    """Nothing is read behind the bytes, and an instruction never is longer than they or 15."""
    move = decode(library, code, mode64)
    if move is not None:
        assert 0 < move.length <= min(len(code), LONGEST)
        assert move.size in (1, 2, 4, 8)
        assert move.register < 16


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([form for form in FORMS if not form.write]), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)
)
def test_value_of_the_register(library: ctypes.CDLL, form: Form, old: int, value: int) -> None:
    move = Move(size=form.size, register_size=form.register_size, high_byte=form.high, sign_extended=form.signed)
    read = value & ((1 << 8 * form.size) - 1)
    if form.signed and read >> (8 * form.size - 1):
        read -= 1 << 8 * form.size
    if form.high:
        wanted = (old & ~0xFF00) | read << 8
    elif form.register_size == 4:
        wanted = read & 0xFFFFFFFF
    else:
        mask = (1 << 8 * form.register_size) - 1
        wanted = (old & ~mask) | (read & mask)
    assert library.StmMoveLoaded(ctypes.byref(move), ctypes.c_uint64(old), ctypes.c_uint64(value)) == wanted & (
        2**64 - 1
    )
