/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Runtime of the bare-metal test images: console and checks, exceptions,
 * port and MSR access, and the parts of the q35 board that SMM needs.
 *
 * An image defines run_tests(); everything runs at CPL 0 in 64-bit mode on
 * identity-mapped memory with interrupts off.
 */
#ifndef MACHINE_TEST_RUNTIME_H
#define MACHINE_TEST_RUNTIME_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEL_CODE32    0x08
#define SEL_DATA32    0x10
#define SEL_CODE64    0x18
#define SEL_DATA64    0x20
#define SEL_TSS       0x28
#define SEL_USER_CODE 0x38
#define SEL_USER_DATA 0x40
#define SEL_CODE16    0x48
#define SEL_DATA16    0x50

#define NO_FAULT      0xFFFFFFFFu
#define FAULT_DB      1u
#define FAULT_UD      6u
#define FAULT_DF      8u
#define FAULT_GP      13u
#define FAULT_PF      14u
#define USER_RETURN   0x80u /* user_call() ended without a fault */

#define PAGE_SIZE     4096u
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the test itself ---- */
void run_tests(void);

/* ---- console and checks (console.c) ---- */
void print(const char *format, ...);
/* One CHECK line; the detail may use %x %X %d %s %llx-like 64-bit %q. */
void check(const char *id, const char *name, bool ok, const char *format, ...);
void check_eq(const char *id, const char *name, uint64_t got, uint64_t want);
/* A SKIP line: the processor does not offer what the rule is about. */
void not_offered(const char *id, const char *name);
/* The next thing the machine must do is shut down (last line of the image). */
void expect_shutdown(const char *id, const char *name);
/* The machine resets next and the image runs again from the beginning. */
void announce_reset(void);
void finish(void) __attribute__((noreturn));
void panic(const char *format, ...) __attribute__((noreturn));

/* ---- exceptions (fault.c, fault.asm) ---- */
struct fault_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx,
        rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* The last exception; `hook` may handle one and return true to resume. */
extern volatile struct fault_frame last_fault;
extern volatile uint32_t fault_count;
extern bool (*fault_hook)(struct fault_frame *frame);

void idt_init(void);
void idt_load(void);

/* IRET to the next instruction: nothing changes but that blocking by NMI ends. */
static inline void iret_here(void)
{
    __asm__ volatile("mov %%ss, %%eax\n\tpushq %%rax\n\tlea 8(%%rsp), %%rcx\n\t"
                     "pushq %%rcx\n\tpushfq\n\tmov %%cs, %%eax\n\tpushq %%rax\n\t"
                     "lea 1f(%%rip), %%rcx\n\tpushq %%rcx\n\tiretq\n1:"
                     :
                     :
                     : "rax", "rcx", "memory");
}
uint32_t try_call(void (*fn)(void *arg), void *arg);
uint32_t user_call(void (*fn)(void *arg), void *arg);
uint32_t compat_call(void (*fn32)(void));
uint32_t try_rdmsr(uint32_t msr, uint64_t *value);
uint32_t try_wrmsr(uint32_t msr, uint64_t value);

/* ---- instructions ---- */
static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return ((uint64_t)high << 32) | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)),
                       "c"(msr)
                     : "memory");
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf)
                     : "memory");
}

#define DEFINE_REGISTER(name, insn_name)                                       \
    static inline uint64_t read_##name(void)                                   \
    {                                                                          \
        uint64_t value;                                                        \
        __asm__ volatile("mov %%" insn_name ", %0"                             \
                         : "=r"(value)                                         \
                         :                                                     \
                         : "memory");                                          \
        return value;                                                          \
    }                                                                          \
    static inline void write_##name(uint64_t value)                            \
    {                                                                          \
        __asm__ volatile("mov %0, %%" insn_name : : "r"(value) : "memory");    \
    }

DEFINE_REGISTER(cr0, "cr0")
DEFINE_REGISTER(cr2, "cr2")
DEFINE_REGISTER(cr3, "cr3")
DEFINE_REGISTER(cr4, "cr4")
DEFINE_REGISTER(cr8, "cr8")
DEFINE_REGISTER(dr0, "dr0")
DEFINE_REGISTER(dr1, "dr1")
DEFINE_REGISTER(dr2, "dr2")
DEFINE_REGISTER(dr3, "dr3")
DEFINE_REGISTER(dr6, "dr6")
DEFINE_REGISTER(dr7, "dr7")

static inline uint64_t read_rflags(void)
{
    uint64_t value;
    __asm__ volatile("pushfq; popq %0" : "=r"(value) : : "memory");
    return value;
}

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static inline struct table_register read_gdtr(void)
{
    struct table_register value;
    __asm__ volatile("sgdt %0" : "=m"(value));
    return value;
}

static inline struct table_register read_idtr(void)
{
    struct table_register value;
    __asm__ volatile("sidt %0" : "=m"(value));
    return value;
}

static inline uint16_t read_tr(void)
{
    uint16_t value;
    __asm__ volatile("str %0" : "=r"(value));
    return value;
}

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

/* ---- memory ---- */
extern uint64_t page_tables[];
extern uint8_t gdt[];
extern uint8_t tss[];
/* A zeroed page outside SMRAM; pages are never freed. */
void *page_alloc(void);

static inline uint64_t phys(const volatile void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static inline uint32_t read32(uint64_t address)
{
    return *(volatile uint32_t *)(uintptr_t)address;
}

static inline uint64_t read64(uint64_t address)
{
    return *(volatile uint64_t *)(uintptr_t)address;
}

static inline void write32(uint64_t address, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)address = value;
}

static inline void write64(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)(uintptr_t)address = value;
}

/* ---- board (platform.c) ---- */
#define RAM_SIZE      0x4000000u /* QEMU runs with -m 64M */
#define TSEG_SIZE     0x800000u
#define TSEG_BASE     (RAM_SIZE - TSEG_SIZE)
#define SMI_PORT      0xB2
#define DEFAULT_SMBASE 0x30000u

uint32_t pci_read32(uint32_t device, uint32_t function, uint32_t offset);
void pci_write8(uint32_t device, uint32_t function, uint32_t offset,
                uint8_t value);
void pci_write32(uint32_t device, uint32_t function, uint32_t offset,
                 uint32_t value);
void platform_init(void);
/* Opens or closes the legacy SMRAM window at A0000H; TSEG stays as it is. */
void legacy_smram(bool open);
/* From here on TSEG is visible in SMM only. */
void tseg_close(void);
/*
 * An SMI by port B2H.  Ends the run if none is served: what is compared behind
 * it would still be equal.
 */
void smi_port_write(uint8_t value);
/* The same where the SMI must wait: in SMM, or while SMIs are blocked. */
void smi_port_raise(uint8_t value);
/* An SMI in every period until smi_timer_stop(). */
void smi_timer_start(void); /* every 16 ms */
void smi_timer_start_at(uint32_t rate);
#define SMI_EVERY_1_5_MS 0u
#define SMI_EVERY_16_MS  1u
void smi_timer_stop(void);
/* IPI to this processor: delivery mode 2 = SMI, 4 = NMI. */
void self_ipi(uint32_t delivery_mode, uint32_t vector);
#define IPI_FIXED 0u
#define IPI_SMI   2u
#define IPI_NMI   4u
#define IPI_INIT  5u

/* ---- SMI handler of the default treatment (smi.asm, smm.c) ---- */
struct smi_first_state { /* as the handler found it */
    uint32_t cr0, cr4, dr7;
};

extern volatile uint32_t smi_count;
/* SMIs that a handler or an STM has served; whoever serves one counts it. */
extern volatile uint32_t smis_served;
/* Runs in SMM in 64-bit mode on every SMI if set. */
extern void (*volatile smi_hook)(void);
extern volatile uint32_t smi_smbase; /* SMBASE of the last SMI's stub */

void smi_install(uint32_t smbase);
const volatile struct smi_first_state *smi_state(uint32_t smbase);
/* One SMI by port B2H whose handler runs fn(). */
void smm_call(void (*fn)(void));

#endif
