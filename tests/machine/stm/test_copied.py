# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The real STM under a firmware that only copies it: it finds by itself where it is, and by SMRR where SMRAM is."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import Outcome, run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind, Record, parse_records
from build_scripts.stm_image import inspect_image

from .test_many import SOURCES as MANY_SOURCES
from .test_many import check_rounds, instructions
from .test_stm import HERE, Run, digest_defines, extra_arguments, read_run, smi_groups

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "copied.c"))
SESSIONS, SMIS, CODE_CHECK_SMIS = 4, 200, 3
MEMBERS = (
    *("Signature", "RequiredStmSmmRevId", "SmmCr3", "SmmCs", "SmmDs", "SmmSs", "SmmOtherSegment", "SmmGdtSize"),
    *("SmmGdtPtr", "SmmTr", "SmmCr3", *["SmmSmiHandlerRip"] * 3, "SmmStmSetupRip", "SmmStmTeardownRip"),
)
PLAIN_TRANSITIONS = 4
MOST_INSTRUCTIONS = 1_000_000
PROCESSORS, ROUNDS = 2, 50
# Of many.c: the mode in which the handlers begin.
HANDLERS = {"64-bit": (), "32-bit": ("HANDLER32",), "pae": ("HANDLER32", "HANDLER_PAE")}
# As many.c and many_s3.c have them.
STANDBY_SCENE, STANDBY_SMIS = 16, 3


@pytest.fixture(scope="module")
def copied(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    work = tmp_path_factory.mktemp("copied")
    return run(qemu, mseg, work, f"SMIS={SMIS}")


def run(qemu: Path, mseg: Path, work: Path, *defines: str) -> Run:
    rom = build_image(SOURCES, (*digest_defines(mseg), "COPIED", *defines)).rom
    return read_run(work, run_image(qemu, rom, work, DUAL_CPU, extra_arguments(work), timeout=60))


def test_checks_of_the_image(copied: Run) -> None:
    assert copied.outcome.problems(expect_shutdown=False) == []
    assert len(copied.outcome.checks) >= 15


def test_it_runs_wherever_it_is_copied(copied: Run, mseg: Path) -> None:
    static = inspect_image(mseg.read_bytes()).software.static_image_size
    digest = sha256(mseg.read_bytes()[:static]).hexdigest()
    assert [record.fields["mseg_sha256"] for record in copied.of("init")] == [digest] * (SESSIONS + 1)
    # The last session is that with the SMM code access check.
    assert [record.number("smis") for record in copied.of("stop")] == [*[SMIS + 2] * SESSIONS, CODE_CHECK_SMIS]
    assert copied.of("crash") == []
    plain = [group for group in smi_groups(copied.transitions) if len(group) == PLAIN_TRANSITIONS]
    assert len(plain) >= SESSIONS * SMIS


def test_without_smrr_it_does_not_guess(copied: Run) -> None:
    """Refused, and the processor is back under the default treatment."""
    first = copied.of("refused")[0]
    assert first.text("reason") == "no-smrr"
    deactivated = [one for one in copied.transitions if one.kind is Kind.SMM_DEACTIVATE]
    assert len(deactivated) == 1 + len(MEMBERS) + SESSIONS + 1


def test_psd_that_no_smi_could_be_entered_with_is_refused(copied: Run) -> None:
    """At INITIALIZE_PROTECTION, by the name of the member; no crash, and the next session runs."""
    refused = copied.of("refused")[1:]
    assert [record.text("member") for record in refused] == list(MEMBERS)
    assert {record.text("reason") for record in refused} == {"psd"}


def test_activation_takes_less_than_a_million_instructions(copied: Run) -> None:
    """Most of them hash the image, with the SHA extensions."""
    begins = [one.icount for one in copied.transitions if one.kind is Kind.ACTIVATE]
    ends = [one.icount for one in copied.transitions if one.kind in (Kind.SMM_RETURN, Kind.SMM_DEACTIVATE)]
    spent = [min(end for end in ends if end > begin) - begin for begin in begins]
    assert len(spent) == 1 + len(MEMBERS) + SESSIONS + 1
    assert max(spent) < MOST_INSTRUCTIONS


@pytest.mark.parametrize(
    ("defines", "stops"), [((), 2), (("RELOAD",), 1)], ids=["stopped-before-sleep", "image-copied-again"]
)
def test_standby(qemu: Path, mseg: Path, tmp_path: Path, defines: tuple[str, ...], stops: int) -> None:
    """S3: the processor forgets MSEG, SMRR and the treatment; the firmware announces them anew, and SMIs go on."""
    sources = tuple(str(HERE / name) for name in ("firmware.c", "copied_s3.c"))
    rom = build_image(sources, (*digest_defines(mseg), "COPIED", *defines)).rom
    run = read_run(tmp_path, run_image(qemu, rom, tmp_path, DUAL_CPU, extra_arguments(tmp_path), timeout=60))
    assert run.outcome.problems(expect_shutdown=False) == []
    assert {"S3-WAKE", "S3-SMIS", "S3-VMXOFF"} <= {check.rule for check in run.outcome.checks}
    assert len(run.of("start")) == 2
    assert len(run.of("stop")) == stops
    assert run.of("crash") == []


def test_what_it_finds_in_mseg_switches_nothing_on(copied: Run, qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A firmware that does not zero MSEG: no SMI spends an instruction on the rendezvous that nobody has asked for."""
    dirty = run(qemu, mseg, tmp_path, "SMIS=5", "FOUND_THERE=0x5A")
    assert dirty.outcome.problems(expect_shutdown=False) == []
    assert instructions(dirty.transitions, 1) == instructions(copied.transitions, 1)


@pytest.fixture(scope="module")
def large_regions(mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The STM as it is on a processor whose VMCS regions take 4 KB: what it reads of IA32_VMX_BASIC is 1000H."""
    image = mseg.read_bytes()
    masked, constant = bytes.fromhex("25ff1f0000"), bytes.fromhex("b800100000")  # and eax, 1FFFH; mov eax, 1000H
    assert image.count(masked) == 1, "StmVmcsSize is compiled otherwise"
    path = tmp_path_factory.mktemp("large") / "Stm.mseg"
    path.write_bytes(image.replace(masked, constant))
    return path


def test_regions_of_4_kb(qemu: Path, large_regions: Path, tmp_path: Path) -> None:
    """What the formula sets aside is enough: sessions, SMIs and refusals go as with regions of 1 KB."""
    large = run(qemu, large_regions, tmp_path, f"SMIS={CODE_CHECK_SMIS}")
    assert large.outcome.problems(expect_shutdown=False) == []
    assert [record.number("smis") for record in large.of("stop")][:SESSIONS] == [CODE_CHECK_SMIS + 2] * SESSIONS
    assert large.of("crash") == []


def run_two(
    qemu: Path, mseg: Path, work: Path, mode: str, scene: int, *defines: str, rounds: int = 1
) -> tuple[Outcome, list[Record]]:
    """Two processors; their handlers begin in that mode."""
    numbers = {"SCENE": scene, "PROCESSORS": PROCESSORS, "ANNOUNCED": PROCESSORS, "ROUNDS": rounds}
    words = (*digest_defines(mseg), "COPIED", *(f"{name}={value}" for name, value in numbers.items()))
    extra = (
        *("-smp", str(PROCESSORS), "-chardev", f"file,id=stm,path={work / 'stm.log'}"),
        *("-device", "isa-debugcon,iobase=0x403,chardev=stm"),
    )
    sources = (*MANY_SOURCES, str(HERE / "many32.c"), str(HERE / "many_s3.c"))
    rom = build_image(sources, (*words, *HANDLERS[mode], *defines)).rom
    outcome = run_image(qemu, rom, work, DUAL_CPU, extra, timeout=120)
    return outcome, parse_records((work / "stm.log").read_text(encoding="ascii"), "stm.log")


@pytest.mark.parametrize("mode", ["64-bit", "32-bit", "regions-of-4-kb"])
def test_two_processors_at_the_same_time(
    qemu: Path, mseg: Path, large_regions: Path, tmp_path: Path, mode: str
) -> None:
    """By CPUID the STM has room for both; each is told of MSEG and SMRR as the other is.

    The handlers begin in 64-bit mode, or in 32-bit mode without paging, which each leaves by itself.
    """
    large = mode == "regions-of-4-kb"
    image = large_regions if large else mseg
    outcome, records = run_two(qemu, image, tmp_path, "64-bit" if large else mode, 0, rounds=ROUNDS)
    check_rounds(outcome, records, image, PROCESSORS, ROUNDS, short=True)


def test_two_processors_begin_with_pae_paging(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The same; paging off and on again are VM exits, whose records take the place of the rounds' first ones."""
    outcome, records = run_two(qemu, mseg, tmp_path, "pae", 0, rounds=ROUNDS)
    assert outcome.problems(expect_shutdown=False) == []
    assert [check.name for check in outcome.checks].count("rounds") == PROCESSORS
    stops = Counter(record.number("cpu") for record in records if record.event == "stop")
    assert stops == dict.fromkeys(range(PROCESSORS), ROUNDS)
    assert [record for record in records if record.event == "crash"] == []


@pytest.mark.parametrize("mode", HANDLERS)
def test_standby_of_two_processors(qemu: Path, mseg: Path, tmp_path: Path, mode: str) -> None:
    """START, SMIs and STOP on each, S3, and the same again with another VMCS, whatever mode the handlers begin in."""
    outcome, records = run_two(qemu, mseg, tmp_path, mode, STANDBY_SCENE, "STANDBY")
    assert outcome.problems(expect_shutdown=False) == []
    assert [check.name for check in outcome.checks if check.rule == "S3"].count("smis") == 2 * (PROCESSORS - 1)
    for event in ("init", "start", "stop"):
        assert Counter(one.number("cpu") for one in records if one.event == event) == dict.fromkeys(
            range(PROCESSORS), 2
        )
    stops = [record.number("smis") for record in records if record.event == "stop"]
    assert stops == [STANDBY_SMIS] * 2 * PROCESSORS
    assert [record for record in records if record.event == "crash"] == []
