/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An SMI handler against a page of the VMM's that the STM protects (docs/tutorial/attack-it.rst). */
#include "../stm/stm_under_test.h"

#define SECRET    0x5EC12E7u
/* Of the frame of a protection exception, in words of 8 bytes. */
#define FRAME_RIP 23u
#define FRAME_RSP 26u
#define SPE_STACK (TSEG_BASE + 0x50000u)

static uint64_t page;
static volatile uint32_t loot, exceptions;

/* ---- attacks: each is what an SMI handler does in one SMI; true says that it came off ---- */

static void read_it(void)
{
    loot = read32(page);
}

static bool read_came_off(void)
{
    return loot == SECRET;
}

static void write_it(void)
{
    write32(page + 0x800, SECRET);
}

static bool write_came_off(void)
{
    return read32(page + 0x800) == SECRET;
}

static const struct {
    const char *name;
    void (*attack)(void);
    bool (*came_off)(void);
} attacks[] = {
    { "read", read_it, read_came_off },
    { "write", write_it, write_came_off },
};

/* ---- the firmware's handler of protection exceptions: the attack ends, the SMI goes on ---- */

void caught(uint64_t *frame);
extern uint8_t caught_entry[];
static uint64_t way_out[2]; /* RSP and RIP behind the attack */

__asm__(".pushsection .text\n"
        "caught_entry:\tmov %rsp, %rdi\n\tcall caught\n"
        "\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        ".popsection\n");

void caught(uint64_t *frame)
{
    exceptions++;
    frame[FRAME_RIP] = way_out[1];
    frame[FRAME_RSP] = way_out[0];
}

static unsigned chosen;

static void handler(void)
{
    /* Every register but RSP is lost if the attack is ended. */
    __asm__ volatile("push %%rbp\n\tlea 1f(%%rip), %%rax\n\tmov %%rax, 8+%0\n\tmov %%rsp, %0\n\tcall *%1\n1:\tpop %%rbp"
                     : "+m"(way_out)
                     : "r"(attacks[chosen].attack)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "cc", "memory");
}

static void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(caught_entry));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

/* ---- the VMM ---- */

/* RWXAttributes: what the handler must not do to the page. */
#define NO_READ   1u
#define NO_ACCESS 7u

static uint64_t list_of(uint64_t base, uint64_t attributes)
{
    uint64_t *list = page_alloc();

    memcpy(list, (uint64_t[]) { 1 | 32ull << 32, base, PAGE_SIZE, attributes, 16ull << 32, 0 }, 48);
    return phys(list);
}

static uint32_t call(uint32_t number, uint64_t address)
{
    return (uint32_t)call_stm_at(number, address);
}

static void attack_all(const char *column, bool protected)
{
    for (chosen = 0; chosen < ARRAY_SIZE(attacks); chosen++) {
        bool off;

        loot = exceptions = 0;
        memset((void *)(uintptr_t)page, 0, PAGE_SIZE);
        write32(page, SECRET);
        smi(HANDLER_HOOK);
        off = attacks[chosen].came_off();
        print("%s, %s: %s\n", attacks[chosen].name, column, off ? "the attack comes off" : "blocked");
        check("ATTACK", attacks[chosen].name, off != protected && exceptions == protected, "%s,exceptions:%d",
              off ? "came-off" : "blocked", exceptions);
    }
}

/* The same function under a second name is not a second attack. */
static uint32_t different_attacks(void)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(attacks); i++) {
        unsigned same = 0;

        while (attacks[same].attack != attacks[i].attack) {
            same++;
        }
        count += same == i;
    }
    return count;
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_call(set_exception_handler);
    smm_monitor_ctl(MSEG_BASE | 1);
    page = phys(page_alloc());
    handler_hook = handler;

    activation_vmcs();
    check_eq("ATTACK", "initialize", call(API_INITIALIZE, 0), STM_SUCCESS);
    check_eq("ATTACK", "start", call(API_START, 0), STM_SUCCESS);
    attack_all("nobody has asked the STM", false);
    check_eq("ATTACK", "protect", call(API_PROTECT, list_of(page, NO_ACCESS)), STM_SUCCESS);
    attack_all("protected", true);
    page = phys(page_alloc());
    check_eq("ATTACK", "protect-reads", call(API_PROTECT, list_of(page, NO_READ)), STM_SUCCESS);
    attack_all("another page, protected from reads", true);
    print("attacks: %d\n", different_attacks());
    check("ATTACK", "two-attacks", different_attacks() >= 2, "%d", different_attacks());
    handler_action = HANDLER_NOTHING;
    check_eq("ATTACK", "stop", call(API_STOP, 0), STM_SUCCESS);
}
