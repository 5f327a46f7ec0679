;; @file
;  Exceptions in VMX root operation.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "VmxException.inc"

extern ASM_PFX(ExecException)

EXCEPTION_STUBS ASM_PFX(AsmExceptionStubs), ASM_PFX(ExecException)
