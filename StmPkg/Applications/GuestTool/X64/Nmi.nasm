;; @file
;  Takes NMIs.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .data

global ASM_PFX(gTryNmis)
ASM_PFX(gTryNmis):
    dq      0

    SECTION .text

global ASM_PFX(AsmNmiTaken)
ASM_PFX(AsmNmiTaken):
    inc     qword [ASM_PFX(gTryNmis)]
    iretq
