/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Code of guests that raise an SMI with their first instruction. */
#ifndef MACHINE_TEST_GUEST_CODE_H
#define MACHINE_TEST_GUEST_CODE_H

#include <stdint.h>

/* A guest's first instruction, the label NAME_next, and what runs behind it; then VMCALL for ever. */
#define GUEST(name, first, then)                                               \
    void name(void);                                                           \
    extern uint8_t name##_next[];                                              \
    __asm__(".globl " #name "\n" #name ":\n\t" first "\n\t"                    \
            ".globl " #name "_next\n" #name "_next:\n\t" then                  \
            "\n1:\tvmcall\n\tjmp 1b\n")

#endif
