# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A logical processor as the rules describe it: instructions, and what happens on the boundary behind each.

The order within an instruction is the SDM's: #UD outside VMX operation, VM exit in non-root operation, VMfail,
success.  All programs run at CPL 0 in 64-bit mode, so that no other fault is possible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from build_scripts.model import entries, exits
from build_scripts.model.operations import LENGTHS, SIPI_VECTOR, SMI_QUALIFICATION, Operation
from build_scripts.model.state import (
    ACTIVE,
    WAIT_FOR_SIPI,
    Context,
    EndsHere,
    How,
    Mode,
    MsegHeader,
    State,
    legal,
)

UD, GP = 6, 13
MONITOR_CTL, SMBASE_MSR = 0x9B, 0x9E
MONITOR_CTL_BITS = 0xFFFF_F005  # valid, block SMI unblocking by VMXOFF, MSEG base (DM-ENA-09)


@dataclass(frozen=True)
class Result:
    """Of an instruction that is complete: VMsucceed, VMfailInvalid, VMfailValid(one of `errors`), or a fault."""

    failed: bool = False
    errors: frozenset[int] = frozenset()
    fault: int | None = None
    value: object = None


@dataclass(frozen=True)
class Observation:
    """What the program that runs behind an operation finds; `exit` only behind a VM exit."""

    program: str
    how: How
    nmis: int
    result: Result | None = None
    exit: dict[str, object] | None = None


SUCCESS = Result()


class Processor:
    """One logical processor; `perform` carries out an operation of whichever program runs."""

    def __init__(self, monitor_ctl: int = 0, number: int = 0, header: MsegHeader | None = None) -> None:
        self.state = State(number, monitor_ctl=monitor_ctl, header=header or MsegHeader())
        self._result = SUCCESS

    def perform(self, operation: Operation) -> Observation | None:
        """Carry out an operation, and all that follows up to the next instruction of a program.

        Returns:
            What that program finds; None if there is none before a start-up IPI.

        Raises:
            EndsHere: nothing says which program would run behind it.
        """
        state = self.state
        state.context = replace(state.context, how=How.DONE)
        self._result = SUCCESS
        method = getattr(self, operation.name)
        method(operation)
        self._settle(operation)
        return None if state.waits else self._observe()

    def receive(self, operation: Operation) -> Observation | None:
        """Take an IPI of the other processor, while the program here waits for its turn.

        Returns:
            What the program finds that runs then; None if it is the same, or none.

        Raises:
            EndsHere: nothing says which program would run behind it.
        """
        state = self.state
        if not state.waits:
            state.context = replace(state.context, how=How.DONE)
        self._signal(operation.name)
        self._settle(operation)
        return None if state.waits or state.context.how is How.DONE else self._observe()

    def _settle(self, operation: Operation) -> None:
        """All that happens before the next instruction of a program."""
        state = self.state
        self._boundary(operation)
        while state.context.in_nmi and not state.waits:
            # Its handler counts and executes IRET, which ends blocking by NMI (DM-STM-27).
            state.nmis += 1
            state.nmi_blocked = False
            state.context = replace(state.context, in_nmi=False)
            self._boundary(operation)

    def _observe(self) -> Observation:
        how = self.state.context.how
        found: dict[str, object] | None = None
        if how in (How.EXIT, How.ACTIVATION):
            vmcs = self.state.vmcs
            assert vmcs is not None
            found = {
                "reason": vmcs.reason,
                "qualification": vmcs.qualification,
                "length": vmcs.length,
                "interruption": vmcs.interruption,
                "interruptibility": vmcs.interruptibility,
                "activity": vmcs.activity,
                "to_smm": vmcs.to_smm,
                "deactivate": vmcs.deactivate,
                "injection": vmcs.injection,
                "smbase": vmcs.smbase,
                "executive": vmcs.executive,
                "link": vmcs.link,
                "current": self.state.current,
            }
        result = self._result if how is How.DONE else None
        return Observation(self.state.context.program, how, self.state.nmis, result, found)

    # ---- the boundary behind an instruction ----

    def _boundary(self, operation: Operation) -> None:
        """Events in the order of their priority: SMI, INIT, MTF VM exit, NMI (DM-EXI-07)."""
        state = self.state
        if state.waits:  # where all of them are blocked (DM-INT-15), and an INIT is forgotten (VMX-ACT-09)
            state.init_pending = False
        while not state.waits:
            if state.smi_pending and not state.smi_blocked:
                state.smi_pending = False
                self._smi(by_io=operation.name == "out" and state.context.how is How.DONE)
            elif state.init_pending and not state.smm and state.mode is not Mode.ROOT:
                # Blocked in root operation (DM-INT-13) and in SMM, by our choice in a guest of the STM too (DM-STM-29).
                state.init_pending = False
                if state.mode is Mode.OFF:
                    self._start_anew()
                else:
                    exits.vm_exit(state, exits.REASON_INIT)
                    state.init_exited = True
            elif state.mtf_pending:
                exits.vm_exit(state, exits.REASON_MTF)
            elif state.nmi_pending and not state.nmi_blocked:
                if state.context.how is How.START_UP:
                    raise EndsHere("an NMI before the start-up code has a handler for it")
                state.nmi_pending, state.nmi_blocked = False, True
                state.context = replace(state.context, in_nmi=True)
                return
            else:
                return

    def _smi(self, by_io: bool) -> None:
        """An SMI that is not blocked: the default treatment, or an SMM VM exit (DM-DEF-01, DM-EXI-02)."""
        if not self.state.dual_monitor:
            exits.default_smi(self.state)
        elif by_io:
            # Right behind an I/O instruction, which the exit qualification describes (DM-EXI-14, DM-EXI-20).
            exits.smm_vm_exit(self.state, exits.REASON_IO_SMI, SMI_QUALIFICATION)
        else:
            exits.smm_vm_exit(self.state, exits.REASON_SMI)  # DM-EXI-15

    def _start_anew(self) -> None:
        """INIT outside VMX operation: SMBASE and 9BH stay (DM-DEF-38, our choice DM-ENA-20), a start-up IPI is next.

        Raises:
            EndsHere: the bootstrap processor would start the firmware; of NMIs the manual says nothing.
        """
        state = self.state
        if state.number == 0:
            raise EndsHere("INIT of the bootstrap processor outside VMX operation")
        if state.nmi_pending or state.nmi_blocked:
            raise EndsHere("INIT while an NMI is pending or blocked")
        state.activity, state.context = WAIT_FOR_SIPI, Context("exec", How.START_UP)
        state.init_exited = False

    # ---- results ----

    def _fault(self, vector: int) -> None:
        """A fault, from whose handler the program comes back by IRET, which ends blocking by NMI (DM-DEF-36)."""
        self.state.nmi_blocked = False
        self._result = Result(fault=vector)

    def _fail(self, *numbers: int) -> None:
        """VMfail: VMfailInvalid without a current VMCS, else one of the numbers (DM-INT-27)."""
        if self.state.vmcs is None:
            self._result = Result(failed=True)
        else:
            self.state.vmcs.error = frozenset(numbers)
            self._result = Result(failed=True, errors=frozenset(numbers))

    def _in_root(self, operation: Operation, reason: int) -> bool:
        """Whether a VMX instruction goes on: #UD outside VMX operation, a VM exit in non-root operation."""
        if self.state.mode is Mode.OFF:
            self._fault(UD)
        elif self.state.mode is Mode.GUEST:
            exits.vm_exit(self.state, reason, LENGTHS[operation.name])
        return self.state.mode is Mode.ROOT and self.state.context.how is How.DONE and self._result.fault is None

    # ---- VMX instructions ----

    def vmxon(self, operation: Operation) -> None:
        """VMXON: #UD in the SMI handler (DM-DEF-34), 15 in root operation (DM-INT-04, DM-STM-03)."""
        state, pointer = self.state, operation.pointer
        if state.mode is Mode.OFF and not state.smm:
            if not legal(pointer) or pointer is None or not state.holds_revision(pointer):
                self._result = Result(failed=True)
                return
            state.mode, state.vmxon, state.current = Mode.ROOT, pointer, None
        elif self._in_root(operation, 27):
            self._fail(15)

    def vmxoff(self, operation: Operation) -> None:
        """VMXOFF: 23 under the dual-monitor treatment (DM-STM-02, DM-DEA-19), else leaves VMX operation (DM-DEA-21)."""
        state = self.state
        if not self._in_root(operation, 26):
            return
        if state.dual_monitor:
            self._fail(23)
            return
        state.mode, state.vmxon, state.current = Mode.OFF, None, None
        state.init_exited = False
        if not state.monitor_ctl & 4:
            state.smi_blocked = False  # DM-DEF-35, DM-DEA-22

    def vmcall(self, operation: Operation) -> None:
        """VMCALL: a VM exit in every guest (DM-ACT-02, DM-STM-22), else the way into the STM (DM-ACT-20)."""
        state = self.state
        if not self._in_root(operation, exits.REASON_VMCALL):
            return
        if state.smm or not state.monitor_ctl & 1:
            self._fail(1)  # in the STM (DM-ACT-05, DM-STM-04), or bit 0 of 9BH is 0 (DM-ACT-07, DM-EXI-04)
        elif state.dual_monitor:
            exits.smm_vm_exit(state, exits.REASON_VMCALL, length=3)  # no further check (DM-ACT-09)
        elif (error := exits.activation_error(state)) is None:
            exits.activate(state)
        else:
            self._fail(error)  # and nothing else changes (DM-ACT-22)

    def vmclear(self, operation: Operation) -> None:
        """VMCLEAR: errors 2 and 3, in SMM as elsewhere (DM-INT-07, DM-STM-24)."""
        state, pointer = self.state, operation.pointer
        if not self._in_root(operation, 19):
            return
        if not legal(pointer) or pointer is None:
            self._fail(2)
        elif pointer == state.vmxon:
            self._fail(3)
        else:
            if not state.smm and not state.holds_revision(pointer):
                raise EndsHere("VMCLEAR of a region that this processor cannot reach")
            if pointer in state.regions:
                state.regions[pointer].launched = False  # DM-STM-26
            if state.current == pointer:
                state.current = None

    def vmptrld(self, operation: Operation) -> None:
        """VMPTRLD: errors 9, 10 and 11, in SMM as elsewhere (DM-INT-06, DM-INT-08, DM-STM-24)."""
        state, pointer = self.state, operation.pointer
        if not self._in_root(operation, 21):
            return
        if not legal(pointer) or pointer is None:
            self._fail(9)
        elif pointer == state.vmxon:
            self._fail(10)
        elif not state.holds_revision(pointer):
            self._fail(11)
        else:
            state.current = pointer  # the SMM-transfer VMCS pointer stays (DM-STM-25)

    def vmptrst(self, operation: Operation) -> None:
        """VMPTRST: the current-VMCS pointer, all ones if there is none."""
        if self._in_root(operation, 22):
            self._result = Result(value=self.state.current)

    def vmread(self, operation: Operation) -> None:
        """VMREAD of a field."""
        if not self._in_root(operation, 23):
            return
        if self.state.vmcs is None:
            self._fail()
        else:
            self._result = Result(value=getattr(self.state.vmcs, operation.field))

    def vmwrite(self, operation: Operation) -> None:
        """VMWRITE of a field; checks come with the VM entry (DM-CTL-07)."""
        if not self._in_root(operation, 25):
            return
        if self.state.vmcs is None:
            self._fail()
        else:
            setattr(self.state.vmcs, operation.field, operation.value)

    def vmlaunch(self, operation: Operation) -> None:
        """VMLAUNCH: the launch state must be clear."""
        self._entry(operation, 20, launch=True)

    def vmresume(self, operation: Operation) -> None:
        """VMRESUME: the launch state must be launched."""
        self._entry(operation, 24, launch=False)

    def _entry(self, operation: Operation, reason: int, launch: bool) -> None:
        """Basic checks in their order (DM-RET-02), then the others."""
        if not self._in_root(operation, reason):
            return
        vmcs = self.state.vmcs
        if vmcs is None:
            self._fail()
        elif launch and vmcs.launched:
            self._fail(4)
        elif not launch and not vmcs.launched:
            self._fail(5)
        elif found := entries.attempt(self.state, vmcs):
            self._fail(*found)

    # ---- other instructions ----

    def rsm(self, operation: Operation) -> None:
        """RSM: resumes in the SMI handler, exits in a guest of the STM (DM-STM-06), else #UD (DM-DEF-32, DM-STM-05)."""
        if self.state.saved is not None and self.state.mode is Mode.OFF and self.state.smm:
            exits.rsm(self.state)
        elif self.state.smm and self.state.mode is Mode.GUEST:
            exits.vm_exit(self.state, exits.REASON_RSM, LENGTHS["rsm"])
        else:
            self._fault(UD)

    def rdmsr(self, operation: Operation) -> None:
        """RDMSR of 9BH anywhere (DM-ENA-14), of 9EH in SMM only (DM-ENA-29, DM-ENA-30)."""
        if self.state.mode is Mode.GUEST:
            exits.vm_exit(self.state, 31, 2)  # before any fault (DM-INT-22)
        elif operation.msr == MONITOR_CTL:
            self._result = Result(value=self.state.monitor_ctl)
        elif self.state.smm:
            self._result = Result(value=self.state.smbase)
        else:
            self._fault(GP)

    def wrmsr(self, operation: Operation) -> None:
        """WRMSR of 9BH in SMM only (DM-ENA-12, DM-ENA-13), of 9EH never (DM-ENA-28)."""
        value = operation.number
        if self.state.mode is Mode.GUEST:
            exits.vm_exit(self.state, 32, 2)
        elif operation.msr == MONITOR_CTL and self.state.smm and not value & ~MONITOR_CTL_BITS:
            self.state.monitor_ctl = value
        else:
            self._fault(GP)  # reserved bits: DM-ENA-10

    def cpuid(self, operation: Operation) -> None:
        """CPUID: exits in every guest, in SMM and outside, and nowhere else (DM-DEF-12, DM-EXI-63)."""
        if self.state.mode is Mode.GUEST:
            exits.vm_exit(self.state, 10, 2)

    def iret(self, operation: Operation) -> None:
        """IRET ends blocking by NMI, in SMM too (DM-DEF-36, DM-STM-27)."""
        self.state.nmi_blocked = False

    def header(self, operation: Operation) -> None:
        """A write to the MSEG header: SMRAM takes it in SMM only (DM-ENA-38, DM-INT-44)."""
        if self.state.smm:
            setattr(self.state.header, operation.field, operation.number)

    # ---- events ----

    def out(self, operation: Operation) -> None:
        """OUT to the platform's SMI port; one SMI is remembered (DM-EXI-06, DM-STM-17)."""
        self.state.smi_pending = True

    def smi(self, operation: Operation) -> None:
        """An SMI by IPI."""
        self._send(operation)

    def nmi(self, operation: Operation) -> None:
        """An NMI by IPI; one is remembered."""
        self._send(operation)

    def init(self, operation: Operation) -> None:
        """An INIT by IPI."""
        self._send(operation)

    def sipi(self, operation: Operation) -> None:
        """A start-up IPI."""
        self._send(operation)

    def _send(self, operation: Operation) -> None:
        """An IPI to this processor; nothing happens here if it goes to the other one."""
        if not operation.other:
            self._signal(operation.name)

    def _signal(self, name: str) -> None:
        """What arrives is remembered, but for INIT and start-up IPIs where they have no effect."""
        state = self.state
        if name == "smi":
            state.smi_pending = True
        elif name == "nmi":
            if state.waits and state.mode is Mode.OFF:
                raise EndsHere("an NMI before the start-up IPI")
            state.nmi_pending = True
        elif name == "init":
            state.init_pending = True
        elif state.waits and state.mode is Mode.OFF:
            state.activity = ACTIVE  # an SMI that was held comes first (DM-DEF-39)
        elif state.waits:
            exits.vm_exit(state, exits.REASON_SIPI, qualification=SIPI_VECTOR)  # DM-INT-14, DM-RET-33
        elif state.init_pending or state.init_exited:
            raise EndsHere(
                "a start-up IPI right behind an INIT may still be on its way when the processor waits for it"
            )
