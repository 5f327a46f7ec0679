; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; A second processor that sends what a mailbox says, again and again: started by
; SIPI at AP_AT, it goes to flat 32-bit mode and stays there.
;
;   MAILBOX + 0   ICR low of the first interrupt, 0: nothing is sent
;   MAILBOX + 4   ICR high
;   MAILBOX + 8   rounds so far
;   MAILBOX + 12  1 when the processor is there
;   MAILBOX + 16  ICR low of a second interrupt, 0: none
;   MAILBOX + 20  1: the first interrupt once. Without a second one MAILBOX is 0 then; the second one is sent again and
;                 again until somebody clears MAILBOX, since the first may come before its receiver waits for it
;                 2: both once, then MAILBOX is 0
;   MAILBOX + 24  1 when it has seen a MAILBOX of 0

        global  ap_block, ap_block_end

%define AP_AT   0x8000
%define MAILBOX 0x9000
%define ICR_LOW 0xFEE00300
%define ICR_HIGH 0xFEE00310
%define PAUSES  2000

        section .data
        align   16
ap_block:
        bits    16
        cli
        xor     ax, ax
        mov     ds, ax
        lgdt    [AP_AT + gdtr - ap_block]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 0x08:(AP_AT + protected - ap_block)
        bits    32
protected:
        mov     ax, 0x10
        mov     ds, ax
        mov     dword [MAILBOX + 12], 1
        jmp     .wait
.idle:  mov     dword [MAILBOX + 24], 1
.wait:  pause
        mov     eax, [MAILBOX]
        test    eax, eax
        jz      .idle
        mov     edx, [MAILBOX + 4]
        mov     [ICR_HIGH], edx
        mov     [ICR_LOW], eax
        mov     eax, [MAILBOX + 16]
        test    eax, eax
        jz      .sent
        mov     [ICR_HIGH], edx
        mov     [ICR_LOW], eax
.sent:  cmp     dword [MAILBOX + 20], 2
        je      .once
        cmp     dword [MAILBOX + 20], 1
        jne     .next
        mov     eax, [MAILBOX + 16]
        test    eax, eax
        jz      .once
.again: mov     ecx, PAUSES
.slow:  pause
        loop    .slow
        cmp     dword [MAILBOX], 0
        je      .next
        mov     [ICR_HIGH], edx
        mov     [ICR_LOW], eax
        jmp     .again
.once:  mov     dword [MAILBOX], 0
        inc     dword [MAILBOX + 8]
        jmp     .wait
.next:  inc     dword [MAILBOX + 8]
        mov     ecx, PAUSES
.pause: pause
        loop    .pause
        jmp     .wait

        align   8
table:  dq      0
        dq      0x00CF9B000000FFFF
        dq      0x00CF93000000FFFF
gdtr:   dw      gdtr - table - 1
        dd      AP_AT + table - ap_block
ap_block_end:
