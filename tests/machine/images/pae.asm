; SPDX-License-Identifier: BSD-2-Clause-Patent
; Instructions of the 32-bit guest of t_pae.c; each ends in VMCALL.

        global  pae_cr0, pae_cr3, pae_cr4, pae_read, pae_poke

        section .text
        bits    32
pae_cr0:
        mov     cr0, ebx
        vmcall
pae_cr3:
        mov     cr3, ebx
        vmcall
pae_cr4:
        mov     cr4, ebx
        vmcall
pae_read:
        mov     eax, [ebx]
        vmcall
pae_poke:                               ; write, and read through another page
        mov     [ebx], ecx
        invlpg  [esi]
        mov     eax, [esi]
        vmcall
