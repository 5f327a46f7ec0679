/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls in each state, and calls with parameters that are none: what the parts of the image share. */
#ifndef ORDERS_H
#define ORDERS_H

#include "stm_under_test.h"

enum processor_state { OFF, INITIALIZED, STARTED };
enum handler_context { IN_SMI, IN_SETUP, IN_TEARDOWN, IN_EXCEPTION };

/* A row of orders.toml: a call of the executive monitor. */
struct order {
    const char *name;
    enum processor_state state;
    uint32_t call, status;
    enum processor_state next;
};

/* Registers of the last call. */
extern struct vm_registers call_before, call_after;
extern uint64_t call_flags;  /* behind it */
extern uint64_t call_rsp[2]; /* RSP before and behind it */

/* A call with all registers filled. Returns EAX. */
uint32_t make_call(uint32_t number, uint64_t page, uint32_t edx);
/* No register has changed but RAX; `rbx` and `rdx` say whether these may have. */
bool registers_kept(bool rbx, bool rdx);

/* A call that must end with STM_SUCCESS. */
void succeed(uint32_t number);

/* orders_handler.c: the rows of the SMI handler. Two pages of memory. */
void handler_orders(uint64_t list, uint64_t guarded);
/* parameters.c */
void parameters(void);

#endif
