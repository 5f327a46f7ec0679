# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Numbers of the architecture and of the Shell, with the names that people know them by."""

from __future__ import annotations

ENTRY_FAILURE = 1 << 31

# SDM appendix C, "VMX Basic Exit Reasons".
EXIT_REASONS = {
    0: "exception or NMI",
    1: "external interrupt",
    2: "triple fault",
    3: "INIT signal",
    4: "start-up IPI (SIPI)",
    5: "I/O SMI",
    6: "other SMI",
    7: "interrupt window",
    8: "NMI window",
    9: "task switch",
    10: "CPUID",
    11: "GETSEC",
    12: "HLT",
    13: "INVD",
    14: "INVLPG",
    15: "RDPMC",
    16: "RDTSC",
    17: "RSM",
    18: "VMCALL",
    19: "VMCLEAR",
    20: "VMLAUNCH",
    21: "VMPTRLD",
    22: "VMPTRST",
    23: "VMREAD",
    24: "VMRESUME",
    25: "VMWRITE",
    26: "VMXOFF",
    27: "VMXON",
    28: "control-register access",
    29: "MOV DR",
    30: "I/O instruction",
    31: "RDMSR",
    32: "WRMSR",
    33: "VM-entry failure due to invalid guest state",
    34: "VM-entry failure due to MSR loading",
    36: "MWAIT",
    37: "monitor trap flag",
    39: "MONITOR",
    40: "PAUSE",
    41: "VM-entry failure due to machine-check event",
    43: "TPR below threshold",
    44: "APIC access",
    45: "virtualized EOI",
    46: "access to GDTR or IDTR",
    47: "access to LDTR or TR",
    48: "EPT violation",
    49: "EPT misconfiguration",
    50: "INVEPT",
    51: "RDTSCP",
    52: "VMX-preemption timer expired",
    53: "INVVPID",
    54: "WBINVD or WBNOINVD",
    55: "XSETBV",
    56: "APIC write",
    57: "RDRAND",
    58: "INVPCID",
    59: "VMFUNC",
    60: "ENCLS",
    61: "RDSEED",
    62: "page-modification log full",
    63: "XSAVES",
    64: "XRSTORS",
}

# SDM volume 3, "Protected-Mode Exceptions and Interrupts".
EXCEPTIONS = {
    0: "#DE",
    1: "#DB",
    2: "NMI",
    3: "#BP",
    4: "#OF",
    5: "#BR",
    6: "#UD",
    7: "#NM",
    8: "#DF",
    10: "#TS",
    11: "#NP",
    12: "#SS",
    13: "#GP",
    14: "#PF",
    16: "#MF",
    17: "#AC",
    18: "#MC",
    19: "#XM",
    20: "#VE",
    21: "#CP",
}

# SDM volume 3, "VM-Instruction Error Numbers".
INSTRUCTION_ERRORS = {
    1: "VMCALL executed in VMX root operation",
    2: "VMCLEAR with invalid physical address",
    3: "VMCLEAR with VMXON pointer",
    4: "VMLAUNCH with non-clear VMCS",
    5: "VMRESUME with non-launched VMCS",
    6: "VMRESUME after VMXOFF",
    7: "VM entry with invalid control field(s)",
    8: "VM entry with invalid host-state field(s)",
    9: "VMPTRLD with invalid physical address",
    10: "VMPTRLD with VMXON pointer",
    11: "VMPTRLD with incorrect VMCS revision identifier",
    12: "VMREAD/VMWRITE from/to unsupported VMCS component",
    13: "VMWRITE to read-only VMCS component",
    15: "VMXON executed in VMX root operation",
    16: "VM entry with invalid executive-VMCS pointer",
    17: "VM entry with non-launched executive VMCS",
    18: "VM entry with executive-VMCS pointer not VMXON pointer",
    19: "VMCALL with non-clear VMCS",
    20: "VMCALL with invalid VM-exit control fields",
    22: "VMCALL with incorrect MSEG revision identifier",
    23: "VMXOFF under dual-monitor treatment of SMIs and SMM",
    24: "VMCALL with invalid SMM-monitor features",
    25: "VM entry with invalid VM-execution control fields in executive VMCS",
    26: "VM entry with events blocked by MOV SS",
    28: "invalid operand to INVEPT/INVVPID",
}

# SHELL_STATUS of the UEFI Shell Specification; an EFI_STATUS has the same numbers and bit 63 set.
SHELL_STATUSES = {
    1: "load error",
    2: "invalid parameter",
    3: "unsupported",
    4: "bad buffer size",
    5: "buffer too small",
    6: "not ready",
    7: "device error",
    8: "write protected",
    9: "out of resources",
    10: "volume corrupted",
    11: "volume full",
    12: "no media",
    13: "media changed",
    14: "not found",
    15: "access denied",
    18: "timeout",
    19: "not started",
    20: "already started",
    21: "aborted",
    25: "incompatible version",
    26: "security violation",
    27: "not equal",
}
_ERROR_BIT = 1 << 63


def exit_reason(value: int) -> str:
    """The name of an exit-reason field, bit 31 included."""
    basic = value & 0xFFFF
    name = EXIT_REASONS.get(basic, f"no such exit reason ({basic})")
    return f"VM-entry failure: {name}" if value & ENTRY_FAILURE and "failure" not in name else name


def shell_status(value: int) -> str:
    """A command's status as number and name."""
    name = SHELL_STATUSES.get(value & ~_ERROR_BIT)
    return f"{value:#x} ({name})" if name is not None else f"{value:#x}"
