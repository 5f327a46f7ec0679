;; @file
;  Fills every register a program has with patterns, takes an SMI, and stores
;  what came back. Nothing in between may disturb a register, which is why this
;  is not C.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL

%define PORT_APM_COMMAND  0xB2
%define RFLAGS_IF         0x200

;
; STATE_PROBE; State.c asserts the offsets.
;
%define PROBE_GPR           0x000
%define PROBE_RFLAGS        0x080
%define PROBE_HALT          0x088
%define PROBE_MASK          0x090
%define PROBE_ORIGINAL      0x098
%define PROBE_PATTERN       0x0A0
%define PROBE_BEFORE        0x0A8
%define PROBE_AFTER         0x0B0
%define PROBE_AFTER_GPR     0x0B8
%define PROBE_AFTER_RFLAGS  0x138
%define PROBE_SIZE          0x140

    SECTION .data

;
; At a fixed address, since with all registers taken no base is left.
;
align 16
global ASM_PFX(gStateProbe)
ASM_PFX(gStateProbe):
    times PROBE_SIZE db 0

global ASM_PFX(gStateWakes)
ASM_PFX(gStateWakes):
    dq      0

    SECTION .text

;
; Save or load x87, SSE and, if there is a mask for XSAVE, AVX state.
;
%macro VECTOR_STATE 3                   ; area, instruction with mask, instruction without
    mov     rcx, [ASM_PFX(gStateProbe) + %1]
    mov     eax, [ASM_PFX(gStateProbe) + PROBE_MASK]
    xor     edx, edx
    test    eax, eax
    jz      %%legacy
    %2      [rcx]
    jmp     %%done
%%legacy:
    %3      [rcx]
%%done:
%endmacro

%macro LOAD_PATTERNS 0
    push    qword [ASM_PFX(gStateProbe) + PROBE_RFLAGS]
  %assign number 0
  %rep 16
    %if number != 4                     ; RSP stays what it is
    mov     REG(number), [ASM_PFX(gStateProbe) + PROBE_GPR + number * 8]
    %endif
    %assign number number + 1
  %endrep
    popfq
%endmacro

%macro STORE_RESULTS 0
  %assign number 0
  %rep 16
    mov     [ASM_PFX(gStateProbe) + PROBE_AFTER_GPR + number * 8], REG(number)
    %assign number number + 1
  %endrep
    pushfq
    pop     qword [ASM_PFX(gStateProbe) + PROBE_AFTER_RFLAGS]
%endmacro

%define REG(n)  REG_ %+ n
%define REG_0   rax
%define REG_1   rcx
%define REG_2   rdx
%define REG_3   rbx
%define REG_4   rsp
%define REG_5   rbp
%define REG_6   rsi
%define REG_7   rdi
%define REG_8   r8
%define REG_9   r9
%define REG_10  r10
%define REG_11  r11
%define REG_12  r12
%define REG_13  r13
%define REG_14  r14
%define REG_15  r15

;
; Interrupts off. The caller has filled gStateProbe.
;
global ASM_PFX(AsmStateProbe)
ASM_PFX(AsmStateProbe):
    pushfq
    push    rbx
    push    rbp
    push    rsi
    push    rdi
    push    r12
    push    r13
    push    r14
    push    r15
    VECTOR_STATE PROBE_ORIGINAL, xsave64, fxsave64
    VECTOR_STATE PROBE_PATTERN, xrstor64, fxrstor64
    VECTOR_STATE PROBE_BEFORE, xsave64, fxsave64
    mov     [ASM_PFX(gStateProbe) + PROBE_GPR + 4 * 8], rsp
    cmp     qword [ASM_PFX(gStateProbe) + PROBE_HALT], 0
    jne     .halt
    LOAD_PATTERNS
    out     PORT_APM_COMMAND, al
    STORE_RESULTS
    jmp     .out
.halt:
    LOAD_PATTERNS
    sti
    hlt
    cli
    STORE_RESULTS
.out:
    cld
    VECTOR_STATE PROBE_AFTER, xsave64, fxsave64
    VECTOR_STATE PROBE_ORIGINAL, xrstor64, fxrstor64
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rdi
    pop     rsi
    pop     rbp
    pop     rbx
    popfq
    ret

;
; Halt until something happens.
;
global ASM_PFX(AsmHalt)
ASM_PFX(AsmHalt):
    sti
    hlt
    cli
    ret

;
; Take an interrupt that is pending.
;
global ASM_PFX(AsmInterruptWindow)
ASM_PFX(AsmInterruptWindow):
    sti
    nop
    nop
    cli
    ret

;
; Interrupt that ends HLT: goes on behind it with interrupts off. IRETQ restores
; the flags that INC changes.
;
global ASM_PFX(AsmWake)
ASM_PFX(AsmWake):
    inc     qword [ASM_PFX(gStateWakes)]
    and     qword [rsp + 16], ~RFLAGS_IF
    iretq

global ASM_PFX(AsmReadCr8)
ASM_PFX(AsmReadCr8):
    mov     rax, cr8
    ret

global ASM_PFX(AsmWriteCr8)
ASM_PFX(AsmWriteCr8):
    mov     cr8, rcx
    ret

global ASM_PFX(AsmWriteDataSelectors)
ASM_PFX(AsmWriteDataSelectors):
    mov     es, ecx
    mov     fs, edx
    mov     gs, r8d
    ret
