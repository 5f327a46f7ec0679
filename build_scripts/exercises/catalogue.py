# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All exercises, in the order of their chapters."""

from __future__ import annotations

from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises import stranger
from build_scripts.exercises.exercise import Exercise, Trial, unfinished, wrong_program

# Of the STM for a plain SMI: the bound that the STM keeps to. One record by port costs thousands.
MOST_INSTRUCTIONS = 700
# Basic exit reason.
RDTSC = 16
_SMIS = ("ExecMon.efi start", "SmiTool.efi b2 3", "ExecMon.efi stop", "reset -s")
_CPUID = ("ExecMon.efi start", "SmmTest.efi cpuid", "ExecMon.efi stop", "reset -s")
_TEST_HANDLER = ("--fw-cfg", "opt/org.stmlab/test-handler=1")
# Seconds of a processor's time: a boot that goes well takes less than half of it.
_PATIENCE = ("--timeout", "20")


def _header(trial: Trial) -> list[str]:
    firmware = (trial.document or {}).get("firmware")
    if firmware is None:
        return unfinished(trial) or ["the firmware reported no status"]
    if firmware["state"] != "enabled":
        problem = f": {firmware['image_problem']}" if firmware["image_problem"] else ""
        return [f"the firmware says {firmware['state']}, {firmware['reason']}{problem}"]
    return unfinished(trial)


def _hot_path(trial: Trial) -> list[str]:
    if found := unfinished(trial):
        return found
    assert trial.document is not None
    counts = [smi["instructions"]["stm"] for smi in trial.document["smis"] if smi["treatment"] == "dual-monitor"]
    if not counts:
        return ["no SMI was served by the STM"]
    if max(counts) > MOST_INSTRUCTIONS:
        return [f"the STM executes {max(counts):,} instructions for an SMI, more than {MOST_INSTRUCTIONS}"]
    # The ring numbers its records, and STOP writes them to stm.log.
    records = sum("seq" in record.fields for record in trial.stream.of("STM", "smi"))
    served = max(len(counts), sum(record.number("smis") for record in trial.stream.of("STM", "stop")))
    if records < served:
        return [f"stm.log has records from the ring of {records} SMIs, and the STM has served {served}"]
    return []


def _standby(trial: Trial) -> list[str]:
    """The VMM sees the guest's way into standby, leaves, and returns; each is a line of the program's."""
    if found := wrong_program(trial):
        return found
    assert trial.document is not None
    kinds = [event["kind"] for event in trial.document["transitions"]]
    if not any("exit reason 30" in line for line in trial.document["said"]):
        return ["the guest sleeps, and its VMM does not know"]
    if kinds.count("vmxoff") != 2:  # once before the sleep, once at the end
        return ["the VMM sleeps in VMX operation"]
    return []


def _two_attacks(trial: Trial) -> list[str]:
    """A second attack, that comes off while nobody has asked the STM, and is blocked afterwards."""
    found = wrong_program(trial)
    return ["there is one attack only" if words.startswith("two-attacks") else words for words in found]


def _rdtsc(trial: Trial) -> list[str]:
    """The exit occurs, and the handler never notices."""
    if found := wrong_program(trial):
        return found
    assert trial.document is not None
    exits = [event for event in trial.document["transitions"] if event["kind"] == "handler-exit"]
    if not any(event["reason"] == RDTSC for event in exits):
        return ["RDTSC of the SMI handler causes no VM exit: does a row of the table ask for the control?"]
    return []


EXERCISES = (
    Exercise(
        "smbase",
        "an SMI handler that stays where anybody can overwrite it",
        "tutorial/smi-by-itself",
        "The firmware has copied the SMI handler to TSEG and told the processor in the first SMI. The handler\n"
        "still runs at 38000H. Where does a processor in SMM keep SMBASE? Mend tests/machine/stm/firmware.c.",
        (),
        wrong_program,
        program="smi",
    ),
    Exercise(
        "waits",
        "a VMM that waits for exit reasons 5 and 6",
        "tutorial/plain-vmm",
        "The VMM in tests/machine/chapters/waits.c counts SMIs by its exits. Its guest raises three, and it knows\n"
        "of none. Have it know of all three, without an STM.",
        (),
        wrong_program,
        program="waits",
    ),
    Exercise(
        "mseg-header",
        "three faults in the MSEG header; find them by what the firmware says",
        "tutorial/mseg-header",
        "The converter in build_scripts/stm_image/convert.py writes a wrong header. Mend one fault after the "
        "other, until the firmware says 'enabled'. 'inspect' names everything that is wrong with an image.",
        ("StmStatus.efi", "reset -s"),
        _header,
    ),
    Exercise(
        "own-vmm",
        "a VMM that does not get its STM, and then does not get rid of it",
        "tutorial/activation",
        "Two lines are missing in the VMM in tests/machine/stm/own_vmm.c. 'bare own-vmm' says which check of the\n"
        "processor refuses the first call. When that is mended, see what refuses the last one.",
        (),
        wrong_program,
        program="own-vmm",
    ),
    Exercise(
        "hot-path",
        "a log line on the path of every SMI; bring the STM back to its floor",
        "tutorial/one-smi",
        "Somebody wanted to see each SMI in stm.log. The STM still serves SMIs, and what does it cost now? Make it "
        f"serve one in no more than {MOST_INSTRUCTIONS} instructions again, and keep a record of each SMI.",
        _SMIS,
        _hot_path,
    ),
    Exercise(
        "copy-back",
        "one field of the save state does not come back",
        "tutorial/rsm",
        "What an SMI handler changes in the save state the STM has to carry over. Something it does not. Find out\n"
        "which, and mend StmPkg/Stm/State/Interrupted.c.",
        (),
        wrong_program,
        program="save-state",
    ),
    Exercise(
        "rdtsc",
        "a control that nobody has thought through; write the exit handler that it needs",
        "tutorial/exit-handler",
        "RDTSC of the SMI handler is to cause a VM exit. Somebody has set the control in\n"
        "StmPkg/Stm/Guest/SmmGuestVmcs.c, and the STM crashes. Read its record, write the exit handler in a file of\n"
        "its own, and have a row of StmPkg/Stm/ExitTable.h set the control.",
        (),
        _rdtsc,
        program="rdtsc",
        writes=True,
    ),
    Exercise(
        "exit-handler",
        "an exit without a handler; read the crash record and give it one",
        "tutorial/exit-handler",
        "The SMI handler executes CPUID, and the STM crashes. Read its record, then write the exit handler and "
        "its row of the table.",
        _CPUID,
        unfinished,
        _TEST_HANDLER,
    ),
    Exercise(
        "instruction-length",
        "an exit handler that never gets further",
        "tutorial/exit-handler",
        "The STM answers CPUID of the SMI handler, and the SMI does not end. What does an exit handler owe the "
        "guest beside the answer?",
        _CPUID,
        unfinished,
        (*_TEST_HANDLER, *_PATIENCE),
    ),
    Exercise(
        "guard",
        "a guard is missing, and an attack comes off",
        "tutorial/attack-it",
        "The VMM has asked the STM to protect its page, the STM has said yes, and an SMI handler reads it all the\n"
        "same. Mend the STM: StmPkg/Stm/Protect/Ept.c says what the handler's EPT allows.",
        (),
        wrong_program,
        program="attack",
    ),
    Exercise(
        "second-attack",
        "write an attack of your own",
        "tutorial/attack-it",
        "tests/machine/chapters/attack.c has one attack, which reads. Write a second one into its table. It has to\n"
        "come off as long as nobody asks the STM for protection, and to be blocked afterwards.",
        (),
        _two_attacks,
        program="attack",
    ),
    Exercise(
        "standby",
        "a VMM that knows nothing of standby: trap the write, and leave",
        "tutorial/standby",
        "The guest of the VMM in tests/machine/chapters/sleep.c writes to the PM1 control register, and the machine\n"
        "sleeps. Have the VMM trap that write (run_guest), and leave before it lets the machine sleep (run_tests).",
        (),
        _standby,
        program="sleep",
    ),
    Exercise(
        "stranger",
        "explain a stranger's trace, line by line",
        "tutorial/real-hypervisors",
        "docs/tutorial/stranger.txt has a line for each transition of a trace, docs/runs/stranger/machine.log, and\n"
        "words to choose from. Say what each transition is.",
        (),
        stranger.wrong,
        answers=stranger.ANSWERS,
    ),
)


def find(name: str) -> Exercise:
    """The exercise of that name.

    Raises:
        LabError: there is none.
    """
    for exercise in EXERCISES:
        if exercise.name == name:
            return exercise
    names = ", ".join(exercise.name for exercise in EXERCISES)
    raise LabError(f"no exercise has the name {name}", ExitCode.USAGE, remedy=f"there are {names}")
