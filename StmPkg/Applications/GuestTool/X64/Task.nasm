;; @file
;  Task switches, by CALL, IRET, a task gate and JMP, in 32-bit protected mode
;  without paging: the processor, or whoever answers for it, has to do them.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL

%define SEL_CODE32  0x08
%define SEL_DATA    0x10
%define SEL_CODE64  0x18
%define SEL_TASK_A  0x20
%define SEL_TASK_B  0x28

%define CR0_PG      0x80000000
%define TASK_GATE   0x8500
%define VECTOR      0x40

%define EBX_OF_A    0xA1A1A1A1
%define EAX_OF_B    0xB2B2B2B2

;
; Offsets in a 32-bit TSS.
;
%define TSS_EIP     0x20
%define TSS_EFLAGS  0x24
%define TSS_EAX     0x28
%define TSS_ESP     0x38
%define TSS_ESI     0x40
%define TSS_ES      0x48
%define TSS_SIZE    0x68

    SECTION .data

align 16
Data:
Gdt:
    dq      0
    dq      0x00CF9B000000FFFF          ; 32-bit code, accessed
    dq      0x00CF93000000FFFF          ; data, accessed
    dq      0x00AF9B000000FFFF          ; 64-bit code, accessed
TaskA:
    dq      0x0000890000000067
TaskB:
    dq      0x0000890000000067
GdtEnd:
    align   16
TssA:
    times   TSS_SIZE db 0
    align   16
TssB:
    times   TSS_SIZE db 0
    align   16
    times   256 db 0
StackB:
Idt:
    times   (VECTOR + 1) * 8 db 0
IdtEnd:
    align   16
NewGdt:
    dw      GdtEnd - Gdt - 1
    dq      0
NewIdt:
    dw      IdtEnd - Idt - 1
    dq      0
OldGdt:
    times   10 db 0
OldIdt:
    times   10 db 0
    align   8
OldRsp:
    dq      0
OldCs:
    dq      0
OldDs:
    dq      0
BackAt:
    dq      0
;
; What was seen; Answers.c knows the order.
;
global ASM_PFX(gTaskSeen)
ASM_PFX(gTaskSeen):
Seen:
    times   8 dd 0

%define IN_DATA(Label)  esi + (Label - Data)
%define SEEN(Index)     esi + (Seen - Data) + 4 * (Index)

    SECTION .text

;
; rbx = descriptor, rax = base
;
SetBase:
    mov     [rbx + 2], ax
    shr     eax, 16
    mov     [rbx + 4], al
    mov     [rbx + 7], ah
    ret

;
; Interrupts off. TR does not come back as it was: no way loads a null selector.
;
global ASM_PFX(AsmRunTasks)
ASM_PFX(AsmRunTasks):
    push    rbx
    push    rbp
    push    rsi
    push    rdi
    push    r12
    push    r13
    push    r14
    push    r15
    sgdt    [OldGdt]
    sidt    [OldIdt]
    mov     [OldRsp], rsp
    mov     eax, cs
    mov     [OldCs], rax
    mov     eax, ds
    mov     [OldDs], rax
    lea     rax, [.back]
    mov     [BackAt], rax

    lea     rbx, [TaskA]
    lea     rax, [TssA]
    call    SetBase
    lea     rbx, [TaskB]
    lea     rax, [TssB]
    call    SetBase
    lea     rax, [Gdt]
    mov     [NewGdt + 2], rax
    lea     rax, [Idt]
    mov     [NewIdt + 2], rax
    mov     word [Idt + VECTOR * 8 + 2], SEL_TASK_B
    mov     word [Idt + VECTOR * 8 + 4], TASK_GATE

    lea     rsi, [Data]
    lea     rbx, [TssB]
    lea     rax, [.task_b]
    mov     [rbx + TSS_EIP], eax
    mov     dword [rbx + TSS_EFLAGS], 2
    mov     dword [rbx + TSS_EAX], EAX_OF_B
    lea     rax, [StackB]
    mov     [rbx + TSS_ESP], eax
    mov     [rbx + TSS_ESI], esi
%assign Segment 0
%rep 6
    mov     dword [rbx + TSS_ES + 4 * Segment], SEL_DATA
  %assign Segment Segment + 1
%endrep
    mov     dword [rbx + TSS_ES + 4], SEL_CODE32

    lgdt    [NewGdt]
    lidt    [NewIdt]
    lea     rax, [.task_a]
    push    SEL_CODE32
    push    rax
    o64 retf

    bits    32
.task_a:
    mov     eax, SEL_DATA
    mov     ds, ax
    mov     es, ax
    mov     ss, ax
    mov     fs, ax
    mov     gs, ax
    mov     eax, cr0
    and     eax, ~CR0_PG
    mov     cr0, eax
    mov     eax, SEL_TASK_A
    ltr     ax
    mov     ebx, EBX_OF_A
    call    SEL_TASK_B:0
    mov     [SEEN (3)], ebx             ; behind IRET
    int     VECTOR
    jmp     SEL_TASK_B:0
    str     eax                         ; behind JMP
    mov     [SEEN (5)], eax
    mov     eax, cr0
    mov     [SEEN (6)], eax             ; with TS
    clts
    mov     al, [IN_DATA (TaskA) + 5]
    mov     ah, [IN_DATA (TaskB) + 5]
    movzx   eax, ax
    mov     [SEEN (7)], eax             ; busy, available
    mov     eax, cr0
    or      eax, CR0_PG
    mov     cr0, eax
    push    dword SEL_CODE64
    push    dword [IN_DATA (BackAt)]
    retf

.task_b:
    inc     dword [SEEN (0)]
    mov     [SEEN (1)], eax
    pushfd
    pop     eax
    mov     [SEEN (2)], eax             ; with NT
    iret
    inc     dword [SEEN (0)]            ; by the task gate
    movzx   eax, word [IN_DATA (TssB)]
    mov     [SEEN (4)], eax             ; link
    iret
    inc     dword [SEEN (0)]            ; by JMP
    jmp     SEL_TASK_A:0

    bits    64
.back:
    mov     rsp, [OldRsp]
    lgdt    [OldGdt]
    lidt    [OldIdt]
    mov     rax, [OldDs]
    mov     ds, ax
    mov     es, ax
    mov     ss, ax
    mov     fs, ax
    mov     gs, ax
    push    qword [OldCs]
    lea     rax, [.old_code]
    push    rax
    o64 retf
.old_code:
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rdi
    pop     rsi
    pop     rbp
    pop     rbx
    ret
