# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All exercises, in the order of their chapters."""

from __future__ import annotations

from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises.exercise import Exercise, Trial, unfinished

# Of the STM for a plain SMI: the bound that the STM keeps to. One record by port costs thousands.
MOST_INSTRUCTIONS = 700
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
    return []


EXERCISES = (
    Exercise(
        "mseg-header",
        "three faults in the MSEG header; find them by what the firmware says",
        "tutorial/mseg-header",
        "The converter in build_scripts/stm_image/convert.py writes a wrong header. Mend one fault after the\n"
        "other, until the firmware says 'enabled'. 'inspect' names everything that is wrong with an image.",
        ("StmStatus.efi", "reset -s"),
        _header,
    ),
    Exercise(
        "hot-path",
        "a log line on the path of every SMI; bring the STM back to its floor",
        "tutorial/one-smi",
        "Somebody wanted to see each SMI in stm.log. The STM still serves SMIs, and what does it cost now? Make it\n"
        f"serve one in less than {MOST_INSTRUCTIONS} instructions again, and keep a record of each SMI.",
        _SMIS,
        _hot_path,
    ),
    Exercise(
        "exit-handler",
        "an exit without a handler; read the crash record and give it one",
        "tutorial/exit-handler",
        "The SMI handler executes CPUID, and the STM crashes. Read its record, then write the exit handler and\n"
        "its row of the table.",
        _CPUID,
        unfinished,
        _TEST_HANDLER,
    ),
    Exercise(
        "instruction-length",
        "an exit handler that never gets further",
        "tutorial/exit-handler",
        "The STM answers CPUID of the SMI handler, and the SMI does not end. What does an exit handler owe the\n"
        "guest beside the answer?",
        _CPUID,
        unfinished,
        (*_TEST_HANDLER, *_PATIENCE),
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
