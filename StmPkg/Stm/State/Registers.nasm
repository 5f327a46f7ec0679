;; @file
;  What every SMI reads and writes: registers of the interrupted side, its save state, and
;  the state with which the SMI handler starts. In one go each, an instruction for the
;  number of a VMCS field and one for its value: there are more than a hundred of them.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define MSR_IA32_KERNEL_GS_BASE  0xC0000102
%define CR4_VMXE                 13

%define OTHER_DR6  0x20                     ; STM_OTHER_REGISTERS.Dr6
%define OTHER_FX   0x50                     ; STM_OTHER_REGISTERS.Fx

;
; VMCS fields (Register/VmxFields.h). Those of segment registers follow one another.
;
%define SELECTOR(Segment)  (0x0800 + 2 * (Segment))
%define LIMIT(Segment)     (0x4800 + 2 * (Segment))
%define ACCESS(Segment)    (0x4814 + 2 * (Segment))
%define BASE(Segment)      (0x6806 + 2 * (Segment))

%define SEGMENT_ES    0
%define SEGMENT_CS    1
%define SEGMENT_SS    2
%define SEGMENT_DS    3
%define SEGMENT_FS    4
%define SEGMENT_GS    5
%define SEGMENT_LDTR  6
%define SEGMENT_TR    7
%define TABLE_GDTR    8                     ; without selector and access rights
%define TABLE_IDTR    9

%define VMCS_EXECUTIVE_VMCS_POINTER          0x200C
%define VMCS_LINK_POINTER                    0x2800
%define VMCS_GUEST_IA32_DEBUGCTL             0x2802
%define VMCS_GUEST_IA32_PAT                  0x2804
%define VMCS_GUEST_IA32_EFER                 0x2806
%define VMCS_GUEST_INTERRUPTIBILITY_STATE    0x4824
%define VMCS_GUEST_SMBASE                    0x4828
%define VMCS_GUEST_IA32_SYSENTER_CS          0x482A
%define VMCS_PREEMPTION_TIMER_VALUE          0x482E
%define VMCS_EXIT_QUALIFICATION              0x6400
%define VMCS_GUEST_CR0                       0x6800
%define VMCS_GUEST_CR3                       0x6802
%define VMCS_GUEST_CR4                       0x6804
%define VMCS_GUEST_DR7                       0x681A
%define VMCS_GUEST_RSP                       0x681C
%define VMCS_GUEST_RIP                       0x681E
%define VMCS_GUEST_RFLAGS                    0x6820
%define VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS  0x6822
%define VMCS_GUEST_IA32_SYSENTER_ESP         0x6824
%define VMCS_GUEST_IA32_SYSENTER_EIP         0x6826

;
; Guest state of the SMI handler (Register/VmxFields.h).
;
%define ACCESS_DATA        0xC093
%define ACCESS_TSS64_BUSY  0x008B
%define ACCESS_UNUSABLE    0x10000
%define LIMIT_TSS64        0x67
%define DR7_INITIAL        0x400
%define RFLAGS_INITIAL     0x2
%define BLOCKING_SMI_NMI   0xC
%define PAT_INITIAL        0x0007040600070406

;
; STM_INTERRUPTED
;
%define SAVED_EXECUTIVE      0x00
%define SAVED_LINK           0x08
%define SAVED_QUALIFICATION  0x10
%define SAVED_SMBASE         0x18
%define SAVED_RIP            0x20
%define SAVED_RSP            0x28
%define SAVED_RFLAGS         0x30
%define SAVED_CR3            0x38

;
; STM_HANDLER_ENTRY
;
%define ENTRY_RIP        0x00
%define ENTRY_RSP        0x08
%define ENTRY_CR0        0x10
%define ENTRY_CR3        0x18
%define ENTRY_CR4        0x20
%define ENTRY_EFER       0x28
%define ENTRY_GDT_BASE   0x30
%define ENTRY_GDT_LIMIT  0x38
%define ENTRY_TR_BASE    0x40
%define ENTRY_CS         0x48
%define ENTRY_DS         0x50
%define ENTRY_SS         0x58
%define ENTRY_OTHER      0x60
%define ENTRY_TR         0x68
%define ENTRY_LIMIT      0x70
%define ENTRY_CS_ACCESS  0x78

;
; %1 = field, %2 = where its value goes, 64 bits.
;
%macro READ 2
    mov     eax, %1
    vmread  [%2], rax
%endmacro

;
; %1 = field; its value goes to RAX.
;
%macro READ_RAX 1
    mov     eax, %1
    vmread  rax, rax
%endmacro

;
; %1 = field, %2 = its value: a register, or where it is.
;
%macro WRITE 2
    mov     eax, %1
    vmwrite rax, %2
%endmacro

;
; rcx = where the address of a VMCS is: make it current. Returns TRUE, or FALSE.
;
global ASM_PFX(AsmMakeCurrent)
ASM_PFX(AsmMakeCurrent):
    xor     eax, eax
    vmptrld [rcx]
    seta    al
    ret

;
; rcx = STM_INTERRUPTED: what the STM itself has to know before it serves an SMI or a call.
;
global ASM_PFX(AsmReadInterrupted)
ASM_PFX(AsmReadInterrupted):
    READ    VMCS_EXECUTIVE_VMCS_POINTER, rcx + SAVED_EXECUTIVE
    READ    VMCS_LINK_POINTER, rcx + SAVED_LINK
    READ    VMCS_EXIT_QUALIFICATION, rcx + SAVED_QUALIFICATION
    READ    VMCS_GUEST_SMBASE, rcx + SAVED_SMBASE
    READ    VMCS_GUEST_RIP, rcx + SAVED_RIP
    ret

;
; Put a segment register into the save-state map at RCX. %1 = its number, %2 = its place.
;
; VM exits clear bits 11:8 of the access rights ("Saving Segment Registers and
; Descriptor-Table Registers", 27.3.2 [28.3.2]), and the map does not hold the bit that
; tells an unusable register.
;
%macro COMPOSE_SEGMENT 2
    READ_RAX SELECTOR(%1)
    mov     [rcx + %2], ax
    READ_RAX ACCESS(%1)
  %if %1 == SEGMENT_TR
    and     eax, ~2                     ; available: a VMCS holds that of a busy TSS, QEMU's map does not
  %endif
    mov     [rcx + %2 + 2], ax
    READ_RAX LIMIT(%1)
    mov     [rcx + %2 + 4], eax
    READ    BASE(%1), rcx + %2 + 8
%endmacro

%macro COMPOSE_TABLE 2
    READ_RAX LIMIT(%1)
    mov     [rcx + %2 + 4], eax
    READ    BASE(%1), rcx + %2 + 8
%endmacro

;
; %1 = field, %2 = place in the map, 32 bits.
;
%macro COMPOSE32 2
    READ_RAX %1
    mov     [rcx + %2], eax
%endmacro

;
; %1 = place in VMX_REGISTERS, %2 = place in the map.
;
%macro COMPOSE_REGISTER 2
    mov     rax, [r8 + 8 * %1]
    mov     [rcx + %2], rax
%endmacro

;
; Compose the save state from the SMM-transfer VMCS, which is current: rcx =
; STM_SAVE_STATE_MAP, rdx = STM_INTERRUPTED, r8 = VMX_REGISTERS, r9 =
; STM_OTHER_REGISTERS. Reserved bytes keep their contents.
;
global ASM_PFX(AsmComposeSaveState)
ASM_PFX(AsmComposeSaveState):
    COMPOSE_SEGMENT SEGMENT_ES, 0x00
    COMPOSE_SEGMENT SEGMENT_CS, 0x10
    COMPOSE_SEGMENT SEGMENT_SS, 0x20
    COMPOSE_SEGMENT SEGMENT_DS, 0x30
    COMPOSE_SEGMENT SEGMENT_FS, 0x40
    COMPOSE_SEGMENT SEGMENT_GS, 0x50
    COMPOSE_TABLE   TABLE_GDTR, 0x60
    COMPOSE_SEGMENT SEGMENT_LDTR, 0x70
    COMPOSE_TABLE   TABLE_IDTR, 0x80
    COMPOSE_SEGMENT SEGMENT_TR, 0x90
    READ    VMCS_GUEST_IA32_EFER, rcx + 0xD0
    mov     dword [rcx + 0xFC], 0x20064 ; STM_SMM_REVISION_ID
    mov     eax, [rdx + SAVED_SMBASE]
    mov     [rcx + 0x100], eax
    READ_RAX VMCS_GUEST_CR4
    btr     eax, CR4_VMXE               ; which is not for SMM (DM-DEF-06)
    mov     [rcx + 0x148], eax
    READ_RAX VMCS_GUEST_CR3
    mov     [rcx + 0x150], rax
    mov     [rdx + SAVED_CR3], rax
    COMPOSE32 VMCS_GUEST_CR0, 0x158
    COMPOSE32 VMCS_GUEST_DR7, 0x160
    mov     eax, [r9 + OTHER_DR6]
    mov     [rcx + 0x168], eax
    COMPOSE32 VMCS_GUEST_RFLAGS, 0x170
    mov     [rdx + SAVED_RFLAGS], rax
    mov     rax, [rdx + SAVED_RIP]
    mov     [rcx + 0x178], rax
    COMPOSE_REGISTER 14, 0x180          ; R15
    COMPOSE_REGISTER 13, 0x188
    COMPOSE_REGISTER 12, 0x190
    COMPOSE_REGISTER 11, 0x198
    COMPOSE_REGISTER 10, 0x1A0
    COMPOSE_REGISTER 9, 0x1A8
    COMPOSE_REGISTER 8, 0x1B0
    COMPOSE_REGISTER 7, 0x1B8           ; R8
    COMPOSE_REGISTER 6, 0x1C0           ; RDI
    COMPOSE_REGISTER 5, 0x1C8           ; RSI
    COMPOSE_REGISTER 4, 0x1D0           ; RBP
    READ_RAX VMCS_GUEST_RSP
    mov     [rcx + 0x1D8], rax
    mov     [rdx + SAVED_RSP], rax
    COMPOSE_REGISTER 3, 0x1E0           ; RBX
    COMPOSE_REGISTER 2, 0x1E8           ; RDX
    COMPOSE_REGISTER 1, 0x1F0           ; RCX
    COMPOSE_REGISTER 0, 0x1F8           ; RAX
    ret

;
; A flat data segment with the selector at %2.
;
%macro WRITE_DATA_SEGMENT 2
    WRITE   SELECTOR(%1), [rcx + %2]
    WRITE   BASE(%1), rdx
    WRITE   LIMIT(%1), r8
    WRITE   ACCESS(%1), r9
%endmacro

;
; rcx = STM_HANDLER_ENTRY: write the state with which the SMI handler starts to the
; SMM-guest VMCS, which is current. The handler may have changed any of it. Nothing else
; of guest state changes: RSM does not exit from another activity state, a VM exit clears
; the event to inject, and State/Handler.c restores the read shadows.
;
; VM entries check the fields together, so that one written in vain costs less than to
; find out whether it is needed.
;
global ASM_PFX(AsmWriteHandlerState)
ASM_PFX(AsmWriteHandlerState):
    xor     edx, edx
    mov     r8d, 0xFFFFFFFF
    mov     r9d, ACCESS_DATA
    mov     r10, [rcx + ENTRY_CS_ACCESS]
    mov     r11, PAT_INITIAL
    WRITE_DATA_SEGMENT SEGMENT_ES, ENTRY_OTHER
    WRITE_DATA_SEGMENT SEGMENT_SS, ENTRY_SS
    WRITE_DATA_SEGMENT SEGMENT_DS, ENTRY_DS
    WRITE_DATA_SEGMENT SEGMENT_FS, ENTRY_OTHER
    WRITE_DATA_SEGMENT SEGMENT_GS, ENTRY_OTHER
    WRITE   SELECTOR(SEGMENT_CS), [rcx + ENTRY_CS]
    WRITE   BASE(SEGMENT_CS), rdx
    WRITE   LIMIT(SEGMENT_CS), r8
    WRITE   ACCESS(SEGMENT_CS), r10
    WRITE   SELECTOR(SEGMENT_LDTR), rdx
    WRITE   BASE(SEGMENT_LDTR), rdx
    WRITE   LIMIT(SEGMENT_LDTR), rdx
    WRITE   SELECTOR(SEGMENT_TR), [rcx + ENTRY_TR]
    WRITE   BASE(SEGMENT_TR), [rcx + ENTRY_TR_BASE]
    WRITE   LIMIT(TABLE_GDTR), [rcx + ENTRY_GDT_LIMIT]
    WRITE   BASE(TABLE_GDTR), [rcx + ENTRY_GDT_BASE]
    WRITE   LIMIT(TABLE_IDTR), rdx
    WRITE   BASE(TABLE_IDTR), rdx
    WRITE   VMCS_GUEST_CR0, [rcx + ENTRY_CR0]
    WRITE   VMCS_GUEST_CR3, [rcx + ENTRY_CR3]
    WRITE   VMCS_GUEST_CR4, [rcx + ENTRY_CR4]
    WRITE   VMCS_GUEST_IA32_EFER, [rcx + ENTRY_EFER]
    WRITE   VMCS_GUEST_RIP, [rcx + ENTRY_RIP]
    WRITE   VMCS_GUEST_RSP, [rcx + ENTRY_RSP]
    WRITE   VMCS_PREEMPTION_TIMER_VALUE, [rcx + ENTRY_LIMIT]
    WRITE   VMCS_GUEST_IA32_DEBUGCTL, rdx
    WRITE   VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, rdx
    WRITE   VMCS_GUEST_IA32_SYSENTER_CS, rdx
    WRITE   VMCS_GUEST_IA32_SYSENTER_ESP, rdx
    WRITE   VMCS_GUEST_IA32_SYSENTER_EIP, rdx
    WRITE   VMCS_GUEST_IA32_PAT, r11
    mov     edx, ACCESS_UNUSABLE
    WRITE   ACCESS(SEGMENT_LDTR), rdx
    mov     edx, LIMIT_TSS64
    WRITE   LIMIT(SEGMENT_TR), rdx
    mov     edx, ACCESS_TSS64_BUSY
    WRITE   ACCESS(SEGMENT_TR), rdx
    mov     edx, DR7_INITIAL
    WRITE   VMCS_GUEST_DR7, rdx
    mov     edx, RFLAGS_INITIAL
    WRITE   VMCS_GUEST_RFLAGS, rdx
    mov     edx, BLOCKING_SMI_NMI
    WRITE   VMCS_GUEST_INTERRUPTIBILITY_STATE, rdx
    ret

;
; rcx = STM_OTHER_REGISTERS: read the registers that no VMCS holds. Every SMI does it
; twice. Reading and comparing is cheaper than writing, but for x87 and SSE, where it is
; the other way round.
;
; Of CR0, CD and NW are the interrupted side's: VM exits and VM entries leave them alone
; ("Loading Host Control Registers, Debug Registers, MSRs", 27.5.1 [28.5.1]).
;
global ASM_PFX(AsmReadOtherRegisters)
ASM_PFX(AsmReadOtherRegisters):
    mov     rax, dr0
    mov     [rcx], rax
    mov     rax, dr1
    mov     [rcx + 0x08], rax
    mov     rax, dr2
    mov     [rcx + 0x10], rax
    mov     rax, dr3
    mov     [rcx + 0x18], rax
    mov     rax, dr6
    mov     [rcx + 0x20], rax
    mov     rax, cr2
    mov     [rcx + 0x28], rax
    mov     rax, cr8
    mov     [rcx + 0x38], rax
    mov     rax, cr0
    mov     [rcx + 0x40], rax
    fxsave64 [rcx + OTHER_FX]
    mov     r8, rcx
    mov     ecx, MSR_IA32_KERNEL_GS_BASE
    rdmsr
    mov     [r8 + 0x30], eax
    mov     [r8 + 0x34], edx
    ret

;
; rcx = STM_OTHER_REGISTERS. Loads x87 and SSE. Returns 0 if the other registers still
; hold these values.
;
global ASM_PFX(AsmCompareOtherRegisters)
ASM_PFX(AsmCompareOtherRegisters):
    fxrstor64 [rcx + OTHER_FX]
    mov     r8, rcx
    mov     r9, dr0
    xor     r9, [r8]
    mov     rax, dr1
    xor     rax, [r8 + 0x08]
    or      r9, rax
    mov     rax, dr2
    xor     rax, [r8 + 0x10]
    or      r9, rax
    mov     rax, dr3
    xor     rax, [r8 + 0x18]
    or      r9, rax
    mov     rax, dr6
    xor     rax, [r8 + 0x20]
    or      r9, rax
    mov     rax, cr2
    xor     rax, [r8 + 0x28]
    or      r9, rax
    mov     rax, cr8
    xor     rax, [r8 + 0x38]
    or      r9, rax
    mov     rax, cr0
    xor     rax, [r8 + 0x40]
    or      r9, rax
    mov     ecx, MSR_IA32_KERNEL_GS_BASE
    rdmsr
    xor     eax, [r8 + 0x30]
    xor     edx, [r8 + 0x34]
    or      eax, edx
    or      rax, r9
    ret

;
; x87 and SSE as FNINIT and a processor's reset leave them: FCW, MXCSR, zeroes.
;
    align   16
InitialFx:
    dd      0x037F
    times 20 db 0
    dd      0x1F80
    times 512 - 28 db 0

global ASM_PFX(AsmScrubFx)
ASM_PFX(AsmScrubFx):
    fxrstor64 [InitialFx]
    ret
