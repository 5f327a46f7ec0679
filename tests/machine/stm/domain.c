/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* MANAGE_VMCS_DATABASE of the real STM, and what its records do. */
#include "stm_under_test.h"

#define LIMIT 192u /* records there is room for */
#define CONFIDENTIAL 8u

volatile uint32_t nmi_count;
static uint64_t request_page;

/* STM_VMCS_DATABASE_REQUEST */
struct request {
    uint64_t vmcs;
    uint32_t policy, add;
};

static void expect_request(const char *name, const struct request *request, uint32_t status)
{
    struct request *there = (struct request *)(uintptr_t)request_page;

    *there = *request;
    /* Low bits of the page's address do not count. */
    check_eq("DATABASE", name, call_stm_at(API_VMCS_DATABASE, request_page | 0x123),
             status ? 1ull << 32 | status : STM_SUCCESS);
    check_eq("DATABASE-INPUT", name, memcmp(there, request, sizeof(*request)), 0);
}

static void add(const char *name, uint64_t vmcs, uint32_t policy, uint32_t status)
{
    expect_request(name, &(struct request){ vmcs, policy, 1 }, status);
}

static void take_out(const char *name, uint64_t vmcs, uint32_t status)
{
    expect_request(name, &(struct request){ vmcs, 0, 0 }, status);
}

static void expect_call(const char *name, uint32_t number, uint32_t status)
{
    check_eq("API-STATUS", name, call_stm_at(number, 0), status ? 1ull << 32 | status : STM_SUCCESS);
}

static void check_parameters(void)
{
    add("address", request_page + 0x800, CONFIDENTIAL, STM_INVALID_PARAMETER);
    add("reserved", request_page, 1u << 10, STM_INVALID_PARAMETER);
    add("reserved-high", request_page, 1u << 31, STM_INVALID_PARAMETER);
    add("xstate", request_page, 2u << 4, STM_INVALID_PARAMETER);
    expect_request("add-or-remove", &(struct request){ request_page, 0, 2 }, STM_INVALID_PARAMETER);
    add("mseg", MSEG_BASE, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("tseg", SMBASE, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("legacy-smram", 0xA0000, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("mmio", 0xFEE00000, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("beyond", 1ull << 40, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    take_out("remove-tseg", SMBASE, STM_SECURITY_VIOLATION);
    check_eq("DATABASE", "page-in-tseg", call_stm_at(API_VMCS_DATABASE, SMBASE), 1ull << 32 | STM_SECURITY_VIOLATION);
    /* Nothing of that was taken. */
    take_out("nothing-changed", request_page, 0x8001000C);
}

static void check_records(void)
{
    add("add", request_page, CONFIDENTIAL, STM_SUCCESS);
    add("twice", request_page, CONFIDENTIAL, 0x8001000C);
    add("other-policy", request_page, 0, 0x8001000C);
    take_out("remove", request_page, STM_SUCCESS);
    take_out("remove-twice", request_page, 0x8001000C);
    for (uint32_t i = 0; i < LIMIT; i++) {
        add("fill", 0x100000 + i * PAGE_SIZE, CONFIDENTIAL, STM_SUCCESS);
    }
    add("full", 0x100000 + LIMIT * PAGE_SIZE, CONFIDENTIAL, STM_OUT_OF_RESOURCES);
    take_out("one-less", 0x100000 + 7 * PAGE_SIZE, STM_SUCCESS);
    add("room-again", 0x100000 + LIMIT * PAGE_SIZE, CONFIDENTIAL, STM_SUCCESS);
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    request_page = phys(page_alloc());

    /* As a first call it is none. */
    activation_vmcs();
    add("wrong-order", request_page, CONFIDENTIAL, STM_UNSPECIFIED);
    smi_port_write(0);

    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    check_parameters();
    add("before-start", request_page, CONFIDENTIAL, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
    take_out("after-start", request_page, STM_SUCCESS);
    check_records();
    smi(HANDLER_NOTHING);
    expect_call("stop", API_STOP, STM_SUCCESS);

    /* Another session knows none of them. */
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    take_out("next-session", 0x100000, 0x8001000C);
    expect_call("stop", API_STOP, STM_SUCCESS);
}
