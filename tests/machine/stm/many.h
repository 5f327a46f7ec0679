/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Several processors under the real STM: what many_orders.c needs of many.c. */
#ifndef MANY_H
#define MANY_H

#include "orders.h"

/* A call of a processor, which makes an activation VMCS current before if `activates`. Returns EAX. */
uint32_t call_on(uint32_t cpu, bool activates, uint32_t number, uint64_t page);

/* many_orders.c: each call in each state of two processors. */
void scene_orders(void);

#endif
