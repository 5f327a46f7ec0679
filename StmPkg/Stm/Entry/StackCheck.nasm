;; @file
;  What the compiler's stack cookies need: functions with an array put the word below their
;  return address, and call the function if it has changed by their end.
;
;  Of MdePkg's libraries for this, the one for an image that handles no exceptions of its
;  own does nothing; and the word must not be in a writable section.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

align 8
global ASM_PFX(__stack_chk_guard)
ASM_PFX(__stack_chk_guard):
    dq      0x5AC3964BD2E187F0          ; a constant: the image is the same in every build

;
; The exception ends in a crash record, on the crash stack (Exception.nasm).
;
global ASM_PFX(__stack_chk_fail)
ASM_PFX(__stack_chk_fail):
    ud2
