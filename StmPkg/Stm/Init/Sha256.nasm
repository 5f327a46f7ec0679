;; @file
;  SHA-256 of whole blocks with the SHA extensions: what an activation spends on the
;  check of its image, without them, is most of it.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

extern ASM_PFX(gStmSha256Constants)

%define CR4_OSFXSR  0x200
%define SCHEDULE    0                   ; 64 words
%define KEPT        0x100               ; XMM0 to XMM7 of the executive monitor
%define BEFORE      0x180               ; the state before a block
%define FRAME       0x1A0

align 16
SwapBytes:
    dq      0x0405060700010203, 0x0C0D0E0F08090A0B

;
; rcx = state, 8 words; rdx = data; r8 = blocks, not 0. The activation leaves CR4.OSFXSR
; as the executive monitor has it, and clears CR0.TS and CR0.EM (DM-ACT-41).
;
global ASM_PFX(AsmSha256Blocks)
ASM_PFX(AsmSha256Blocks):
    mov     r10, cr4
    mov     rax, r10
    or      eax, CR4_OSFXSR
    mov     cr4, rax
    sub     rsp, FRAME
%assign i 0
%rep 8
    movups  [rsp + KEPT + 16 * i], xmm %+ i
%assign i i + 1
%endrep

; The instructions want A, B, E, F and C, D, G, H together.
    movdqu  xmm1, [rcx]
    movdqu  xmm2, [rcx + 16]
    pshufd  xmm1, xmm1, 0xB1
    pshufd  xmm2, xmm2, 0x1B
    movdqa  xmm7, xmm1
    palignr xmm1, xmm2, 8
    pblendw xmm2, xmm7, 0xF0

.block:
    movups  [rsp + BEFORE], xmm1
    movups  [rsp + BEFORE + 16], xmm2
    movdqu  xmm7, [SwapBytes]
%assign i 0
%rep 4
    movdqu  xmm4, [rdx + 16 * i]
    pshufb  xmm4, xmm7
    movdqu  [rsp + SCHEDULE + 16 * i], xmm4
%assign i i + 1
%endrep

; FIPS 180-4, 6.2.2, step 1: words 16 to 63, four at a time.
    xor     eax, eax
.schedule:
    movdqu  xmm4, [rsp + rax + SCHEDULE]
    movdqu  xmm5, [rsp + rax + SCHEDULE + 0x10]
    sha256msg1 xmm4, xmm5
    movdqu  xmm7, [rsp + rax + SCHEDULE + 0x20]
    movdqu  xmm5, [rsp + rax + SCHEDULE + 0x30]
    movdqa  xmm6, xmm5
    palignr xmm6, xmm7, 4
    paddd   xmm4, xmm6
    sha256msg2 xmm4, xmm5
    movdqu  [rsp + rax + SCHEDULE + 0x40], xmm4
    add     eax, 0x10
    cmp     eax, 0xC0
    jne     .schedule

; Step 3: 64 rounds, four at a time.
    lea     r9, [ASM_PFX(gStmSha256Constants)]
    xor     eax, eax
.rounds:
    movdqu  xmm0, [rsp + rax + SCHEDULE]
    movdqu  xmm3, [r9 + rax]
    paddd   xmm0, xmm3
    sha256rnds2 xmm2, xmm1
    pshufd  xmm0, xmm0, 0x0E
    sha256rnds2 xmm1, xmm2
    add     eax, 0x10
    cmp     eax, 0x100
    jne     .rounds

    movdqu  xmm3, [rsp + BEFORE]
    paddd   xmm1, xmm3
    movdqu  xmm3, [rsp + BEFORE + 16]
    paddd   xmm2, xmm3
    add     rdx, 64
    dec     r8
    jnz     .block

    pshufd  xmm1, xmm1, 0x1B
    pshufd  xmm2, xmm2, 0xB1
    movdqa  xmm7, xmm1
    pblendw xmm1, xmm2, 0xF0
    palignr xmm2, xmm7, 8
    movdqu  [rcx], xmm1
    movdqu  [rcx + 16], xmm2
%assign i 0
%rep 8
    movups  xmm %+ i, [rsp + KEPT + 16 * i]
%assign i i + 1
%endrep
    add     rsp, FRAME
    mov     cr4, r10
    ret
