# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The documentation's text: spelling, and abbreviations that the glossary explains."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Words that are right here and misspelt elsewhere.
RIGHT = ("fo", "te", "ue")
TEXTS = ("docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
# Their rules' ids and quoted requirements are the tables', not a reader's text.
GENERATED = ("conformance.rst", "choices.rst", "differences.rst")
_LITERAL = re.compile(r"``[^`]*``|:[a-z:]+:`[^`]*`")
_BLOCK = re.compile(r"(?:^\.\. [a-z-]+::.*|::)\n(?:\s*:[a-z-]+:.*\n)*\n((?:[ ]+.*\n|\n)+)", re.MULTILINE)
_WORD = re.compile(r"(?<![\w_./$-])[A-Z][A-Z0-9]+(?![\w_.]*[\w_])")
_HEXADECIMAL = re.compile(r"[0-9A-F]+H")
# Names of the SDM: instructions, registers, bits, exceptions, vectors; and the words of the STM's own interface.
_SDM = """
    AC AX AL BD BS BTF CF CR CR0 CR2 CR3 CR4 CR8 CS CSTAR DB DE DF DM DR DR0 DR3 DR6 DR7 DS DX EAX EBX ECX EDX EFER EIP
    ENA ES ESMRAMC ESP FMASK FS GD GDTR GP GS IDTR IF LDTR LMA LME LOCK LSTAR MC MCE MXCSR NE NM NW NXE OSFXSR
    OSXMMEXCPT OSXSAVE PCE PCIDE PE PF PG PGE PKE PKRS PKRU PSE PVI RAX RF RFLAGS RIP RSP SF SMAP SMEP SS STAR TF TI TR
    R15 RBX TSD UC UD UMIP VE VME VMXE WB WP XCR0 XD XFD XSS ZF ET TS EM AF OF NULL
    BOUND CALL CLTS CPUID ENCLS ENCLV FXRSTOR FXSAVE FSGSBASE GETSEC HLT IN INS INSB INT INT1 INT3 INTO INVD INVEPT
    INVLPG INVPCID INVVPID IRET JMP LGDT LIDT LLDT LMSW LTR MONITOR MOV MOVSX MOVSXD MOVZX MWAIT OUT OUTS OUTSB PAUSE
    RDMSR RDPID RDPMC RDRAND RDSEED RDTSC RDTSCP REP RET RSM SGDT SIDT SLDT SMSW STI STR SWAPGS SYSCALL SYSENTER VMCALL
    VMCLEAR VMFUNC VMLAUNCH VMPTRLD VMPTRST VMREAD VMRESUME VMWRITE VMXOFF VMXON WBINVD WRMSR XRSTORS XSAVE XSAVEC
    XSAVES XSETBV
    START STOP PM1 SLP BNDCFGS PCIEXBAR XSTATE EOS
"""
# Words of programs and formats, as they stand there.
_WRITTEN = """
    TRUE FALSE FILE NAME NO OR VALUE TYPE SOURCE DECIMAL KEPT CONST STATIC FUNCTION ADDRESS TARGET RELEASE NOOPT CRLF
    LF SIGTERM SIGHUP CONFIDENTIALITY INTEGRITY PROTECTION END FW EXEC APP CTL IA IA32 II SM RX ID SPDX FORCE EPYC Q35
    DELETE DEF ATTACK EXPERIMENT RUN COMMAND WORDS SECONDS OK CD O2 FS1 B0 B3 CAP
    PATCH MAINTAINERS README
"""
NAMES = frozenset((_SDM + _WRITTEN).split())


def prose(text: str) -> str:
    """A page without what stands in it literally."""
    return _LITERAL.sub("", _BLOCK.sub("\n", text))


def terms(checkout: Path) -> set[str]:
    """What the glossary explains."""
    text = (checkout / "docs/reference/glossary.rst").read_text(encoding="utf-8")
    return set(re.findall(r"^   (\S.*)$", text, re.MULTILINE))


def test_spelling(checkout: Path) -> None:
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list", ",".join(RIGHT), "--skip", "*.json,*.log"]
    result = subprocess.run([*command, *TEXTS], cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and not result.stdout, result.stdout + result.stderr


def test_spelling_is_looked_at(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "page.rst").write_text("The proccessor recieves an SMI.\n")
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 65 or result.stdout.count("==>") == 2, result.stdout


def test_every_abbreviation_is_explained(checkout: Path) -> None:
    explained = terms(checkout)
    unexplained: dict[str, str] = {}
    for path in sorted((checkout / "docs").rglob("*.rst")):
        if path.name in GENERATED:
            continue
        for word in _WORD.findall(prose(path.read_text(encoding="utf-8"))):
            if word not in NAMES and word not in explained and not _HEXADECIMAL.fullmatch(word):
                unexplained.setdefault(word, path.name)
    assert unexplained == {}


def test_the_glossary_explains_nothing_twice(checkout: Path) -> None:
    text = (checkout / "docs/reference/glossary.rst").read_text(encoding="utf-8")
    found = re.findall(r"^   (\S.*)$", text, re.MULTILINE)
    assert len(found) == len(set(found))
    assert not set(found) & NAMES


# The questions of somebody whose VMM does not come back from standby, and those that authors of a VMM ask beside them.
QUESTIONS = (
    "Why does my VMM see no SMI exits?",
    "Why does the PC not wake, and does it have to do with SMM?",
    "How does a VMM notice the transition into standby, and what must it do before?",
    "Who gets control on wake, and how does the VMM come back?",
    "Can SMM code run in a guest, with the handler unchanged?",
    "What is in the MSEG header, and who may set it?",
    "How is the treatment activated?",
    "What does the VMCS of the SMM monitor need, field by field?",
    "What happens at an SMI, step by step?",
    "How is RSM intercepted, and what must the return do?",
    "Are the five steps right, and what is missing?",
    "Can I do this on my PC?",
    "Which check failed?",
    "Why is my breakpoint not hit?",
    "Can I have VMX without KVM?",
    "How does OUT 0xB2 raise an SMI?",
    "How do I time an SMI?",
    "Who uses an STM?",
    "Can I have one on my PC?",
)


def test_every_question_has_its_answer(checkout: Path) -> None:
    """By name, in order, with a page, a file or a command behind each where it can be seen."""
    text = (checkout / "docs/faq.rst").read_text(encoding="utf-8")
    parts = re.split(r"^(.+\?)\n-+\n", text, flags=re.MULTILINE)
    assert tuple(parts[1::2]) == QUESTIONS
    answers = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert [title for title, answer in answers.items() if ":doc:" not in answer and "``" not in answer] == []
