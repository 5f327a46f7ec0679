# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VM exits, SMM VM exits, activation; delivery of an SMI by the default treatment, and RSM."""

from __future__ import annotations

from build_scripts.model.state import (
    ACTIVE,
    BLOCKED_BY_NMI,
    BLOCKED_BY_SMI,
    MSEG_REVISION,
    Context,
    How,
    Mode,
    SavedByDefault,
    State,
    Vmcs,
)

FROM_ROOT, MTF_PENDING, ENTRY_FAILURE = 1 << 29, 1 << 28, 1 << 31
REASON_NMI, REASON_INIT, REASON_SIPI, REASON_IO_SMI, REASON_SMI = 0, 3, 4, 5, 6
REASON_RSM, REASON_VMCALL, REASON_BAD_GUEST, REASON_MTF = 17, 18, 33, 37


def _save(state: State, vmcs: Vmcs, reason: int, qualification: int, length: int | None) -> None:
    """Record a VM exit and save the guest state, which is the same for all kinds.

    The valid bit of the VM-entry interruption-information field is cleared (DM-EXI-31, DM-ACT-37); no bit of the
    VM-entry controls but "IA-32e mode guest" changes (DM-CTL-13), nor does the VM-instruction error (DM-EXI-30).
    Blocking by SMI is saved as it is by exits that end in SMM (DM-EXI-40, DM-STM-20, DM-RET-57) and as 0 by all
    others (DM-INT-20).
    """
    vmcs.reason, vmcs.qualification, vmcs.length = reason, frozenset({qualification}), length
    vmcs.injection = 0
    vmcs.interruption = 0
    vmcs.guest = state.context.suspended()
    vmcs.activity, state.activity = state.activity, ACTIVE
    vmcs.interruptibility = BLOCKED_BY_NMI * state.nmi_blocked
    if state.smm or reason & FROM_ROOT or reason & 0xFFFF in (REASON_IO_SMI, REASON_SMI):
        vmcs.interruptibility |= BLOCKED_BY_SMI * state.smi_blocked


def vm_exit(state: State, reason: int, length: int | None = None, qualification: int = 0) -> None:
    """An ordinary VM exit: to the host state of the current VMCS, in SMM if the guest was in SMM.

    DM-STM-19: it is no SMM VM exit then either; pointers and blocking by NMI stay (but for an exit due to an NMI).
    """
    assert state.vmcs is not None
    _save(state, state.vmcs, reason, qualification, length)
    state.mode = Mode.ROOT
    state.mtf_pending = False
    state.context = Context(state.vmcs.host, How.EXIT)


def failed_entry(state: State, qualifications: frozenset[int]) -> None:
    """Guest state that a VM entry does not accept: the host state is loaded, and nothing else (DM-RET-36, DM-RET-37).

    The processor stays in SMM if it was (DM-STM-30); pointers, launch state and treatment stay (DM-RET-38).
    """
    assert state.vmcs is not None
    state.vmcs.reason, state.vmcs.qualification = ENTRY_FAILURE | REASON_BAD_GUEST, qualifications
    state.context = Context(state.vmcs.host, How.EXIT)


def smm_vm_exit(state: State, basic: int, qualification: int = 0, length: int | None = None) -> None:
    """An SMM VM exit while the dual-monitor treatment is active (DM-EXI-02)."""
    from_root = state.mode is Mode.ROOT
    reason = basic
    if from_root:
        reason |= FROM_ROOT  # bit 29: the exit began in VMX root operation (DM-EXI-17)
    elif state.mtf_pending:
        reason |= MTF_PENDING  # bit 28: an MTF VM exit was pending in non-root operation (DM-EXI-18)
    assert state.transfer is not None
    vmcs = state.regions[state.transfer]
    # The executive-VMCS pointer is the VMXON pointer from root (DM-EXI-11), else the current VMCS (DM-EXI-10).
    vmcs.executive = state.vmxon if from_root else state.current
    # Our choice: the link pointer keeps the executive monitor's current VMCS (DM-EXI-62).
    vmcs.link = state.current if from_root else None
    _save(state, vmcs, reason, qualification, length)
    vmcs.smbase = state.smbase  # DM-EXI-37
    state.current = state.transfer  # DM-EXI-12
    _enter_smm(state)
    state.context = Context(vmcs.host, How.EXIT)


def _enter_smm(state: State) -> None:
    """In SMM and VMX root operation, SMIs and NMIs blocked (DM-EXI-01, DM-EXI-55, DM-EXI-56, DM-ACT-60)."""
    state.mode, state.smm = Mode.ROOT, True
    state.smi_blocked = state.nmi_blocked = True
    state.mtf_pending = False


def activation_error(state: State) -> int | None:
    """The number with which an activating VMCALL fails; 0 without a current VMCS, None if it succeeds (DM-ACT-20)."""
    if state.vmcs is None:
        return 0  # VMfailInvalid (DM-ACT-10)
    if state.vmcs.launched:
        return 19  # the launch state must be clear (DM-ACT-12)
    if not state.vmcs.exit_controls_legal:
        return 20  # reserved bits of the VM-exit controls (DM-ACT-13)
    if state.header.revision != MSEG_REVISION:
        return 22  # the MSEG-header revision identifier (DM-ACT-15)
    if state.header.features != 1:
        # Bits 31:1 must be 0 (DM-ACT-16), and bit 0 must be 1 where VMCALL is 64-bit code (DM-ACT-18).
        return 24
    return None


def activate(state: State) -> None:
    """The SMM VM exit that activates the treatment: the state comes from the MSEG header (DM-ACT-24 and following)."""
    assert state.vmcs is not None
    vmcs, state.transfer = state.vmcs, state.current  # DM-ACT-24
    vmcs.executive = state.vmxon  # DM-ACT-25
    vmcs.link = state.current  # our choice, as at every SMM VM exit from root (DM-EXI-62)
    _save(state, vmcs, FROM_ROOT | REASON_VMCALL, 0, 3)  # DM-ACT-28, DM-ACT-29, DM-ACT-30
    vmcs.smbase = state.smbase  # DM-ACT-34
    state.dual_monitor = True
    _enter_smm(state)
    state.context = Context("stm", How.ACTIVATION)  # not the host-state area (DM-ACT-40)


def default_smi(state: State) -> None:
    """SMI delivery by the default treatment: VMX operation is left (DM-DEF-03), the handler runs at SMBASE + 8000H."""
    context = state.context.suspended()
    state.saved = SavedByDefault(state.mode, state.current, context, state.nmi_blocked, state.mtf_pending)
    state.mode, state.current, state.smm = Mode.OFF, None, True
    state.smi_blocked = state.nmi_blocked = True  # DM-DEF-08
    state.mtf_pending = False
    state.context = Context("handler", How.SMI)


def rsm(state: State) -> None:
    """RSM under the default treatment: back to the recorded mode and VMCS (DM-DEF-19), SMIs unblocked (DM-DEF-24)."""
    assert state.saved is not None
    state.mode, state.current, state.context = state.saved.mode, state.saved.current, state.saved.context
    state.nmi_blocked = state.saved.nmi_blocked  # DM-DEF-25
    state.mtf_pending = state.saved.mtf_pending  # DM-DEF-29
    state.smm = state.smi_blocked = False
    state.saved = None
