; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Where start32 goes on, in flat 32-bit mode, on a processor without IA-32e mode.  An image
; for such a processor has a no_ia32e_mode of its own; others stop here.

        global  no_ia32e_mode:function weak

        section .text
        bits    32
no_ia32e_mode:
        hlt
        jmp     no_ia32e_mode
