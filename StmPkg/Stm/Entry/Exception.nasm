;; @file
;  Exceptions in the STM: none is expected, each ends in a crash record. All
;  vectors use IST 1, the crash stack, so a broken stack does not hide the cause.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "VmxException.inc"

extern ASM_PFX(StmException)

EXCEPTION_STUBS ASM_PFX(AsmExceptionStubs), ASM_PFX(StmException)
