# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What each program of /dev/kvm must see: its exits in order, and how it ends.

The guest's code is in build_scripts/linux/init/code_*.S, the words are made by kvm_run.c there: ``out1:10=41`` is one
byte 41H to port 10H, ``r8:`` and ``w8:`` are accesses of 8 bytes to memory that no slot backs. A read gets 12345678H.
"""

from __future__ import annotations

TRACES = {
    # 32 bits, no paging: ports and memory-mapped devices, also by string instructions.
    "protected": "out4:1020=11223344 w4:d0000000=deadbeef w2:d0000004=cafe r4:d0000008 out4:1020=12345678 "
    "r1:d000000c out4:1020=78 w4:d0000020=1020304 w4:d0000024=5060708 in4:22 out4:22=12345678 hlt",
    # 64 bits: 8 bytes at once, MSRs that user space serves, LSTAR, TSC forwards, XMM, CR8, DR1, CR0.
    "long": "w8:d0000000=1122334455667788 r8:d0000008 out4:30=12345678 rdmsr:12345 out4:32=12345678 "
    "wrmsr:12345=11aabbccdd out4:34=5566 out1:36=0 out4:38=778899aa out1:3a=5 out4:3c=1234 out4:3e=8000003b hlt",
    # PAE: a pointer changed in memory counts from the next load of CR3 on.
    "pae": "out1:10=1 out4:12=2222 out4:12=2222 out4:12=1111 w4:d0000000=abcd hlt",
    # 16 bits: ports, the device at 640 KB, a string of bytes, a software interrupt.
    "real": "out1:10=41 in2:12 out2:14=5679 w1:a0000=5a r2:a0010 out2:16=5678 out1:18=61 out1:18=62 out1:18=63 "
    "out1:1a=99 hlt",
    # Real, protected, compatibility, long, compatibility, 16-bit protected, real.
    "modes": "out1:10=1 out1:10=2 out1:10=3 out1:10=4 out1:10=5 out1:10=6 hlt",
    # The guest's own faults: vector, error code, CR2. #UD, #DE, #GP, #PF write, #PF read, #GP selector, #PF after
    # INVLPG, #PF on a read-only page.
    "fault": "out1:30=6 out4:32=0 out1:30=0 out4:32=0 out1:30=d out4:32=0 out1:30=e out4:32=2 out4:34=40012345 "
    "out1:30=e out4:32=0 out4:34=40054321 out1:30=d out4:32=5678 out1:36=77 out1:30=e out4:32=2 out4:34=200000 "
    "out1:30=e out4:32=3 out4:34=200000 out1:36=77 hlt",
    # "KVMKVMKVM", and bit 31 of leaf 1.
    "cpuid": "out4:10=4b4d564b out4:10=564b4d56 out1:12=1 hlt",
    "shutdown": "out1:10=1 shutdown",
    # A guest that never exits by itself, and a signal.
    "spin": "interrupted",
    # KVM_INTERRUPT waits for the window that STI opens; the local APIC is then a device without anybody.
    "interrupt": "out1:50=1 out1:58=2 window out1:5a=40 w4:fee000b0=0 out1:58=3 hlt",
    # The second NMI is sent in the handler of the first and waits for its IRET.
    "nmi": "out1:50=1 out1:54=2 out1:56=3 out1:54=2 out1:56=3 out1:58=4 hlt",
    # Message, I/O APIC, 8259, a message held back by CR8, an IPI to itself, a message that ends HLT.
    "irqchip": "out1:50=1 out1:5a=46 out1:51=1 out1:5a=45 out1:52=1 out1:5a=53 out1:50=2 out1:58=5 out1:5a=46 "
    "out1:5a=49 out1:53=1 out1:5a=48 out1:58=6 end",
    # The local APIC's timer: while running, in HLT, periodic.
    "timer": "out1:5a=60 out1:5a=61 out1:58=1 out1:58=2 end",
    # 20,000 locked additions by two processors, 100 IPIs there and back; INIT and startup IPI began the second.
    "smp": "out4:10=4e20 out4:12=64 out4:14=64 end second: out1:70=77 interrupted",
    "step": "debug:1001 debug:1002 debug:1007 debug:100a out1:10=7 debug:100c debug:100d hlt",
    "breakpoint": "debug:1002 out1:10=7 hlt",
    # The dirty pages from 1 MB on, read and cleared after each step.
    "dirty": "out1:50=0 dirty:0:0 out1:50=1 dirty:5:0 out1:50=2 dirty:0:2 out1:50=3 dirty:0:0 out1:50=4 dirty:1:0 hlt",
    # A slot that the guest may only read: a write is an exit and changes nothing.
    "readonly": "out4:10=31415926 w4:800000=27182818 out4:10=31415926 out4:10=16180339 hlt",
}

# Without virtual NMIs KVM takes the next interrupt window for the end of an NMI handler. This guest never enables
# interrupts, so that its second NMI stays pending.
OTHER_TRACES = {"vnmi=0": {"nmi": "out1:50=1 out1:54=2 out1:56=3 out1:58=4 hlt"}}

# Parameters that KVM takes back if the processor lacks what they need.
IN_FORCE = {
    "ept": "Y",
    "eptad": "Y",
    "unrestricted_guest": "Y",
    "vpid": "Y",
    "flexpriority": "Y",
    "vnmi": "Y",
    "preemption_timer": "Y",
    "nested": "Y",
}
# What the machine leaves out on purpose (docs/reference/machine.rst).
LEFT_OUT = ("pml", "enable_apicv", "enable_shadow_vmcs", "enable_ipiv", "enlightened_vmcs", "sgx")

# Sets of parameters, each for one load of the module in one boot.
RELOADS = (
    "vpid=0",
    "eptad=0",
    "flexpriority=0",
    "preemption_timer=0",
    "vnmi=0",
    "ple_gap=0",
    "nested=0",
    "emulate_invalid_guest_state=0",
    "ept=0,vpid=0,flexpriority=0",
)
