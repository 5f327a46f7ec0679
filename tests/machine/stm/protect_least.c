/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The STM in an MSEG that is no larger than needed: what there is no room for is refused. */
#include "protect.h"

#define MOST_PAGES 16u
#define REGION     0x200000ull
#define FIRST_PAGE 0x1100000ull
#define LONG_LIST  300u

#ifndef MSEG_REFUSED
#define MSEG_REFUSED 0
#endif

/* A page of memory in each of many regions of 2 MB: a table each. */
static void put_page(unsigned i)
{
    list_start(list_page);
    put_memory(FIRST_PAGE + i * REGION, PAGE_SIZE, 7);
}

/* More than a page: refused when the STM starts. */
static void make_long_list(void)
{
    list_start(BIOS_LIST);
    for (unsigned i = 0; i < LONG_LIST; i++) {
        put_io(0x1000 + 4 * i, 2);
    }
    put_end(0);
}

static void make_short_list(void)
{
    list_start(BIOS_LIST);
    put_msr(MSR_CLAIMED, 0, ~0ull);
    put_end(0);
}

/* Pages are protected one by one until there is no room; then the last call has changed nothing. */
static unsigned fill(const char *name)
{
    unsigned done = 0;

    for (; done < MOST_PAGES; done++) {
        put_page(done);
        put_end(0);
        call(API_PROTECT, list_page, 0);
        if ((uint32_t)answer.rax != STM_SUCCESS) {
            break;
        }
        caught(name, ACCESS_READ, FIRST_PAGE + done * REGION);
    }
    check_eq("LEAST", "some-pages", done >= 1 && done < MOST_PAGES, 1);
    check_eq("LEAST", "status", (uint32_t)answer.rax, STM_OUT_OF_RESOURCES);
    check_eq("LEAST", "not-granted", granted(0), 0);
    allowed(name, ACCESS_READ, FIRST_PAGE + done * REGION);
    return done;
}

static void give_back(unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        put_page(i);
        expect_list("give-back", API_UNPROTECT, STM_SUCCESS);
        allowed("given-back", ACCESS_READ, FIRST_PAGE + i * REGION);
    }
}

void run_least(void)
{
    unsigned first;

    if (MSEG_REFUSED) {
        /* On each call that would activate it, and nothing stays behind. */
        give_list(make_short_list, BIOS_LIST);
        for (unsigned i = 0; i < 2; i++) {
            activation_vmcs();
            expect_call("few-tables", API_INITIALIZE, STM_OUT_OF_RESOURCES);
            activation_vmcs();
            expect_call("few-tables", API_START, STM_OUT_OF_RESOURCES);
        }
        return;
    }
    give_list(make_long_list, BIOS_LIST);
    activation_vmcs();
    expect_call("long-list", API_INITIALIZE, STM_UNSPECIFIED);
    give_list(make_short_list, BIOS_LIST);
    for (unsigned session = 0; session < 2; session++) {
        start();
        first = fill("first");
        give_back(first);
        check_eq("LEAST", "as-many-again", fill("again"), first);
        /* What needs no table: ports and MSRs, as many as the profile has ranges for. */
        list_start(list_page);
        for (unsigned i = 0; i < 200; i++) {
            put_io(0x2000 + 4 * i, 2);
        }
        expect_list("ports", API_PROTECT, STM_SUCCESS);
        caught("port", ACCESS_IN, 0x2000 + 4 * 199);
        allowed("port-between", ACCESS_IN, 0x2002);
        give_back(first);
        stop();
    }
}
