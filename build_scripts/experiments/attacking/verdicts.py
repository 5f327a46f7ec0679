# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Ways to see whether an attack came off, for the ``judge`` of an attack."""

from __future__ import annotations

from build_scripts.experiments.attacking.attack import Judge, Outcome, Trace, Verdict

_ONES = 0xFFFF_FFFF_FFFF_FFFF
# What attacks look for, or leave behind; no place has it by chance.
SECRET = 0x5EC2E7C0DE5A1AD5
MARK = 0xBADC0FFEE0DDF00D

# What the device edu answers at the beginning of its registers.
_EDU_IDENTIFICATION = 0x010000ED

SUCCEEDED, BLOCKED, NONE = Outcome.SUCCEEDED, Outcome.BLOCKED, Outcome.NOT_APPLICABLE


def stolen(label: str, secret: int = SECRET) -> Judge:
    """A step reads a secret, or something else, or faults."""

    def judge(trace: Trace) -> Verdict:
        step = trace[label]
        if not step.refused and step.value == secret:
            return Verdict(SUCCEEDED, f"read {step.value:#x}, the secret")
        return Verdict(BLOCKED, f"met {step.answer}" if step.refused else f"read {step.answer}, not the secret")

    return judge


def changed(before: str, after: str, attempt: str | None = None) -> Judge:
    """What was read after the attack is another value than before.

    Args:
        before: the step that reads what is there.
        after: the step that reads it again.
        attempt: the step that is the attack, whose exception is told.
    """

    def judge(trace: Trace) -> Verdict:
        first, last = trace[before], trace[after]
        if first.refused or last.refused:
            return Verdict(None, "what was attacked could not be read")
        if first.value != last.value:
            return Verdict(SUCCEEDED, f"{first.value:#x} became {last.value:#x}")
        return Verdict(BLOCKED, f"{first.value:#x} stayed{_why(trace, attempt)}")

    return judge


def left_behind(after: str, mark: int = MARK, attempt: str | None = None) -> Judge:
    """What was read after the attack is what the attack wrote."""

    def judge(trace: Trace) -> Verdict:
        last = trace[after]
        if last.refused:
            return Verdict(None, "what was attacked could not be read")
        if last.value == mark:
            return Verdict(SUCCEEDED, f"{mark:#x} is there")
        return Verdict(BLOCKED, f"{last.value:#x} is there, not {mark:#x}{_why(trace, attempt)}")

    return judge


def answered(label: str) -> Judge:
    """A call or VMX instruction was granted, or refused by a status or an exception."""

    def judge(trace: Trace) -> Verdict:
        step = trace[label]
        if step.refused:
            return Verdict(BLOCKED, f"met {step.answer}")
        if step.value == 0:
            return Verdict(SUCCEEDED, "was granted")
        return Verdict(BLOCKED, f"was refused with {step.value:#x}")

    return judge


def refused_unlike(granted: str, label: str) -> Judge:
    """A call is refused, although the same call with other arguments is granted."""

    def judge(trace: Trace) -> Verdict:
        other = trace[granted]
        if not other.refused and other.value != 0:
            return Verdict(None, f"the call is refused with other arguments, too: {other.value:#x}")
        return answered(label)(trace)

    return judge


def executed(label: str) -> Judge:
    """A step was executed without an exception."""

    def judge(trace: Trace) -> Verdict:
        step = trace[label]
        return Verdict(BLOCKED, f"met {step.answer}") if step.refused else Verdict(SUCCEEDED, "was carried out")

    return judge


def ran(label: str, mark: int) -> Judge:
    """Code that a step calls has left its mark in RAX."""

    def judge(trace: Trace) -> Verdict:
        step = trace[label]
        if step.refused:
            return Verdict(BLOCKED, f"met {step.answer}")
        if step.value == mark:
            return Verdict(SUCCEEDED, f"the code ran: it left {mark:#x}")
        return Verdict(None, f"other code ran: {step.value:#x}")

    return judge


def stored(attempt: str, after: str, mark: int = MARK) -> Judge:
    """A write was refused, or is seen by the one who wrote: nobody else can look there."""

    def judge(trace: Trace) -> Verdict:
        if trace[attempt].refused:
            return Verdict(BLOCKED, f"met {trace[attempt].answer}")
        if trace[after].value == mark:
            return Verdict(SUCCEEDED, f"{mark:#x} is there")
        return Verdict(BLOCKED, f"{trace[after].answer} is there, not {mark:#x}")

    return judge


def copied(truth: str, loot: str) -> Judge:
    """A step reads what another one, who may, has read there."""

    def judge(trace: Trace) -> Verdict:
        if trace[truth].refused or trace[truth].value == _ONES:
            return Verdict(None, "what was attacked could not be read")
        return stolen(loot, trace[truth].value)(trace)

    return judge


def closed(label: str) -> Judge:
    """A step reads something, or meets ones: nothing is there for it."""

    def judge(trace: Trace) -> Verdict:
        step = trace[label]
        if step.refused or step.value == _ONES:
            return Verdict(BLOCKED, f"met {step.answer}")
        return Verdict(SUCCEEDED, f"read {step.value:#x}")

    return judge


def changed_meanwhile(control: str, label: str) -> Judge:
    """A step sees memory change while it looks; another one, at the same place, has seen that somebody changes it."""

    def judge(trace: Trace) -> Verdict:
        if trace[control].refused or trace[control].value == 0:
            return Verdict(None, "nobody changed it")
        if trace[label].refused:
            return Verdict(BLOCKED, f"met {trace[label].answer}")
        if trace[label].value != 0:
            return Verdict(SUCCEEDED, f"it changed {trace[label].value:,} times")
        return Verdict(BLOCKED, f"it stayed; {trace[control].value:,} changes before")

    return judge


def used(control: str, label: str, most: int) -> Judge:
    """A step uses a number above what its check allows; another one has shown that somebody else changes it."""

    def judge(trace: Trace) -> Verdict:
        if trace[control].refused or trace[control].value <= most:
            return Verdict(None, "nobody changed the number")
        step = trace[label]
        if step.refused:
            return Verdict(BLOCKED, f"met {step.answer}")
        if step.value > most:
            return Verdict(SUCCEEDED, f"{step.value:#x} was used, and at most {most:#x} is allowed")
        if step.value == 0:
            return Verdict(BLOCKED, "the number stayed, and was not allowed")
        return Verdict(BLOCKED, f"{step.value:#x} was checked, and was used")

    return judge


def activated() -> Judge:
    """The STM runs as it was left: its own record of the activation is there."""

    def judge(trace: Trace) -> Verdict:
        for record in trace.records:
            if (record.source, record.event) == ("STM", "init"):
                return Verdict(SUCCEEDED, f"the STM is active, and says mseg_sha256={record.text('mseg_sha256')}")
        return Verdict(BLOCKED, "the STM is not active")

    return judge


def survived(label: str) -> Judge:
    """The platform goes on after what was to end it: the step behind it was carried out."""

    def judge(trace: Trace) -> Verdict:
        return Verdict(BLOCKED, f"SMIs go on; {trace[label].value:#x} is there")

    return judge


def moved(judge: Judge) -> Judge:
    """A device that answered where its BAR was has its BAR where the attack wants it; only then `judge` counts.

    The steps have the labels of `words.decoded` and `words.put_back`, and ``hit`` for the write to the BAR.
    """

    def judge_moved(trace: Trace) -> Verdict:
        control, at, target = trace["control"], trace["at"], trace["hit"].arguments[2]
        if control.refused or control.value != _EDU_IDENTIFICATION:
            return Verdict(None, f"the device did not answer before the move: {control.answer}")
        if at.value != target:
            return Verdict(None, f"the BAR is at {at.value:#x}, not at {target:#x}")
        return judge(trace)

    return judge_moved


def forged(by: str) -> Judge:
    """A record ``ev=forged by=NAME`` is there, and the lab takes it for that of the monitor or firmware it names."""

    def judge(trace: Trace) -> Verdict:
        if any(record.event == "forged" and record.text("by") == by for record in trace.records):
            return Verdict(SUCCEEDED, "the record is there, and passes for genuine")
        met = next((step.answer for step in trace.steps if step.refused), "no exception")
        return Verdict(BLOCKED, f"no such record; the attempt met {met}")

    return judge


def refused_by_firmware(reason: str) -> Judge:
    """The firmware does not take the STM image, for this reason."""

    def judge(trace: Trace) -> Verdict:
        if trace.status is None:
            return Verdict(None, "the firmware reported no status")
        state, why = trace.status.text("state"), trace.status.text("reason")
        if state == "enabled":
            return Verdict(SUCCEEDED, "the firmware loaded it")
        if why == reason:
            return Verdict(BLOCKED, f"the firmware refused it: {why}")
        return Verdict(None, f"the firmware refused it for another reason: {why}")

    return judge


def _why(trace: Trace, attempt: str | None) -> str:
    if attempt is None:
        return ""
    step = trace[attempt]
    return f": met {step.answer}" if step.refused else ": the write was carried out, and undone"
