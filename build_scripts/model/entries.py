# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VM entries: ordinary ones, those into a guest of the STM, and returns from SMM."""

from __future__ import annotations

from build_scripts.model import exits
from build_scripts.model.state import (
    BLOCKED_BY_NMI,
    BLOCKED_BY_SMI,
    IN_SMRAM,
    INJECT_MTF,
    INJECT_NMI,
    INJECT_RESERVED,
    WAIT_FOR_SIPI,
    Context,
    EndsHere,
    Mode,
    State,
    Vmcs,
    legal,
)


def returns_from_smm(state: State, vmcs: Vmcs) -> bool:
    """Whether a VM entry returns from SMM: executed in SMM, "entry to SMM" is 0 (DM-RET-01)."""
    return state.smm and not vmcs.to_smm


def to_root(state: State, vmcs: Vmcs) -> bool:
    """Whether a return from SMM ends in VMX root operation: the executive-VMCS pointer is the VMXON pointer."""
    return returns_from_smm(state, vmcs) and vmcs.executive == state.vmxon


def errors(state: State, vmcs: Vmcs) -> set[int]:
    """The error numbers of all checks of controls that fail; any of them may be reported (DM-RET-24, DM-CTL-18)."""
    found = set()
    if (vmcs.to_smm or vmcs.deactivate) and not state.smm:
        found.add(7)  # both must be 0 outside SMM (DM-CTL-01, DM-CTL-02, DM-DEA-02)
    if vmcs.to_smm and vmcs.deactivate:
        found.add(7)  # not both (DM-CTL-04, DM-DEA-03)
    if not vmcs.exit_controls_legal:
        found.add(7)  # VM-exit controls are those of the current VMCS (DM-RET-16)
    if vmcs.injection == INJECT_RESERVED:
        found.add(7)  # type 1 is reserved (DM-RET-17)
    if returns_from_smm(state, vmcs):
        found |= _executive_errors(state, vmcs)
        if to_root(state, vmcs) and vmcs.injection not in (0, INJECT_MTF):
            found.add(7)  # nothing is injected into root operation but a pending MTF VM exit (DM-RET-18, DM-RET-19)
    elif not vmcs.pin_controls_legal:
        found.add(7)  # VM-execution controls of the current VMCS, but for returns from SMM (DM-RET-10)
    return found


def _executive_errors(state: State, vmcs: Vmcs) -> set[int]:
    """Checks of the executive-VMCS pointer; the address comes before all others (DM-RET-07)."""
    pointer = vmcs.executive
    if not legal(pointer) or pointer is None or not state.holds_revision(pointer):
        return {16}  # alignment, width, revision identifier (DM-RET-03, DM-RET-04, DM-RET-05)
    if pointer == state.vmxon:
        return set()  # no VM-execution controls are checked (DM-RET-11)
    if vmcs.deactivate:
        return {18} | _control_errors(state, pointer)  # deactivation ends in root operation (DM-RET-09, DM-DEA-04)
    if not state.regions[pointer].launched:
        return {17} | _control_errors(state, pointer)  # DM-RET-08
    return _control_errors(state, pointer)


def _control_errors(state: State, pointer: str) -> set[int]:
    """VM-execution controls of the executive VMCS (DM-RET-12)."""
    return set() if state.regions[pointer].pin_controls_legal else {25}


def guest_failures(state: State, vmcs: Vmcs) -> frozenset[int]:
    """Exit qualifications of the checks of guest state that fail; empty if it is legal."""
    found = set()
    if not vmcs.protected:
        found.add(0)  # CR0.PE: there is no unrestricted guest here, and for a return to root there is none (DM-RET-26)
    if vmcs.activity == WAIT_FOR_SIPI and (vmcs.to_smm or to_root(state, vmcs)):
        found.add(0)  # DM-CTL-10, DM-STM-15, DM-RET-32
    if vmcs.activity == WAIT_FOR_SIPI and vmcs.injection:
        found.add(0)  # nothing is delivered in that state (VMX-GST-48)
    blocked_by_smi = bool(vmcs.interruptibility & BLOCKED_BY_SMI)
    if blocked_by_smi and not state.smm:
        found.add(0)  # DM-CTL-11
    if vmcs.to_smm and not blocked_by_smi:
        found.add(0)  # DM-CTL-09, DM-STM-14
    if vmcs.link is not None:
        # Not the VMCS itself; on a return from SMM not the executive VMCS (DM-CTL-12, DM-RET-31, DM-STM-16).
        own = vmcs.executive if returns_from_smm(state, vmcs) else state.current
        if not legal(vmcs.link) or not state.holds_revision(vmcs.link) or vmcs.link == own:
            found.add(4)  # DM-RET-29
    return frozenset(found)


def enter(state: State, vmcs: Vmcs) -> None:
    """A VM entry whose checks have all passed."""
    entered = state.current
    vmcs.launched = True  # before the pointers change (DM-RET-46)
    state.nmi_blocked = bool(vmcs.interruptibility & BLOCKED_BY_NMI)  # DM-RET-59, DM-STM-18
    mode = Mode.GUEST
    if returns_from_smm(state, vmcs):
        state.smbase = vmcs.smbase if vmcs.smbase is not None else state.smbase  # DM-RET-40; no other entry (DM-CTL-17)
        if to_root(state, vmcs):
            mode, state.current = Mode.ROOT, vmcs.link  # DM-RET-48, DM-DEA-11
        else:
            state.current = vmcs.executive  # DM-RET-49
        if vmcs.deactivate:
            state.dual_monitor = False  # DM-DEA-01
            state.smi_blocked = False  # bit 2 is ignored (DM-DEA-07, DM-DEA-08)
        else:
            state.transfer = entered  # DM-RET-47
            state.smi_blocked = bool(vmcs.interruptibility & BLOCKED_BY_SMI)  # DM-RET-55, DM-RET-56
        state.smm = False  # DM-RET-62
        if state.current in IN_SMRAM:
            raise EndsHere("outside SMM the current VMCS cannot be reached")
    state.mode, state.activity = mode, vmcs.activity  # DM-RET-61
    state.context = vmcs.guest
    if mode is Mode.GUEST and not state.smm:
        state.init_exited = False
    if vmcs.injection == INJECT_MTF and mode is Mode.GUEST:
        state.mtf_pending = True  # no effect in root operation (DM-RET-20)
    if vmcs.injection == INJECT_NMI:
        state.context = Context(vmcs.guest.program, vmcs.guest.how, in_nmi=True)
        state.nmi_blocked = True


def attempt(state: State, vmcs: Vmcs) -> set[int]:
    """A VM entry behind its basic checks: the errors of VMfailValid, or none after an entry or a VM-entry failure."""
    if found := errors(state, vmcs):
        return found  # nothing has changed (DM-RET-25, DM-CTL-08)
    if failures := guest_failures(state, vmcs):
        exits.failed_entry(state, failures)
    else:
        enter(state, vmcs)
    return set()
