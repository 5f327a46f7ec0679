/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each call of one processor in each state of its own and of another's. ORDERS are the rows of
 * orders.toml; OTHERS those that differ while the other processor is not off.
 */
#include "many.h"

static const struct order orders[] = { ORDERS }, others[] = { OTHERS };
static uint64_t request_page, log_page, guarded;

static const struct order *row_of(const struct order *order, enum processor_state other)
{
    for (unsigned i = 0; i < ARRAY_SIZE(others) && other != OFF; i++) {
        if (others[i].state == order->state && others[i].call == order->call) {
            return &others[i];
        }
    }
    return order;
}

/* What each call takes, good whatever came before in the session. */
static void good_request(uint32_t number)
{
    memset((void *)(uintptr_t)request_page, 0, PAGE_SIZE);
    if (number == API_PROTECT || number == API_UNPROTECT) {
        write64(request_page, 1 | 32ull << 32);
        write64(request_page + 8, guarded);
        write64(request_page + 16, PAGE_SIZE);
        write64(request_page + 24, 7);
        write64(request_page + 32, 16ull << 32);
    } else if (number == API_VMCS_DATABASE) {
        write64(request_page, guarded);
        write32(request_page + 12, 1);
    } else if (number == API_EVENT_LOG) {
        write32(request_page, 1);
        write32(request_page + 4, 1);
        write64(request_page + 8, log_page);
    }
}

static void reach(uint32_t cpu, enum processor_state state)
{
    if (state != OFF) {
        check_eq("REACH", "initialize", call_on(cpu, true, API_INITIALIZE, 0), STM_SUCCESS);
    }
    if (state == STARTED) {
        check_eq("REACH", "start", call_on(cpu, false, API_START, 0), STM_SUCCESS);
    }
}

/* STOP tells off from the others, START initialized from started. */
static void check_state(const char *name, uint32_t cpu, enum processor_state state)
{
    if (state != OFF) {
        check_eq("STATE", name, call_on(cpu, false, API_INITIALIZE, 0), STM_ALREADY_STARTED);
        check_eq("STATE", name, call_on(cpu, false, API_START, 0), state == STARTED ? STM_ALREADY_STARTED : STM_SUCCESS);
    }
    check_eq("STATE", name, call_on(cpu, state == OFF, API_STOP, 0), state == OFF ? STM_STOPPED : STM_SUCCESS);
}

static void check_order(const struct order *order, uint32_t cpu, enum processor_state other)
{
    const struct order *row = row_of(order, other);

    reach(!cpu, other);
    reach(cpu, order->state);
    good_request(order->call);
    check_eq("ORDER", order->name, call_on(cpu, order->state == OFF, order->call, request_page), row->status);
    check_state(order->name, cpu, row->next);
    check_state(order->name, !cpu, other);
}

void scene_orders(void)
{
    uint64_t *const pages[] = { &request_page, &log_page, &guarded };

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        *pages[i] = phys(page_alloc());
    }
    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
        for (enum processor_state other = OFF; other <= STARTED; other++) {
            check_order(&orders[i], 0, other);
            check_order(&orders[i], 1, other);
        }
    }
}
