/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Virtual machines by the raw ioctl API of /dev/kvm. */
#ifndef KVM_H
#define KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Layout of a test's guest memory; guest.inc has the same for the guest's code. */
enum {
    GUEST_MEMORY = 0x400000,
    GUEST_GDT = 0x800,
    GUEST_CODE = 0x1000,
    GUEST_IDT = 0x4000,
    GUEST_DATA = 0x6000,
    GUEST_STARTUP = 0x7000, /* where a startup IPI sends the second processor */
    GUEST_STACK = 0x9000,
    GUEST_TABLES = 0x10000, /* four-level paging, identity, 0 to 1 GB and 3 to 4 GB */
    GUEST_PAE = 0x18000,    /* page-directory pointers of PAE paging */
};

/* What the guest reads from an unknown port, address or MSR. */
#define PATTERN 0x12345678u
/* A write to this port ends a test. */
#define END_PORT 0xf4

enum mode { MODE_REAL, MODE_PROTECTED, MODE_PAE, MODE_LONG };

struct vcpu {
    int fd;
    struct kvm_run *run;
};

struct vm {
    int kvm, fd;
    uint8_t *memory;
    size_t size;
    struct vcpu vcpu[2];
    char trace[600]; /* the exits, one word each */
};

/* Creates a VM with memory at 0; with an interrupt controller in the kernel if asked for. False: reported. */
bool vm_open(struct vm *vm, const char *test, size_t size, bool irqchip);
bool vcpu_open(struct vm *vm, int index);
void vm_close(struct vm *vm);

/* Guest code is assembled into this program, between two labels. */
#define LOAD(vm, address, name)                                                                                        \
    do {                                                                                                               \
        extern const uint8_t code_##name[], code_##name##_end[];                                                       \
        memcpy((vm)->memory + (address), code_##name, (size_t)(code_##name##_end - code_##name));                      \
    } while (0)
/* Puts a processor at `entry` in a mode, with the tables above. */
void enter_mode(struct vm *vm, struct vcpu *vcpu, enum mode mode, uint64_t entry);
/* Interrupt gates of long mode: COUNT stubs of STRIDE bytes each from vector FIRST on. */
void set_gates(struct vm *vm, int first, int count, uint64_t stubs, int stride);

/* Runs until hlt, shutdown, an error or a write to END_PORT; HOOK sees each exit after it was traced. */
typedef void (*exit_hook)(struct vm *vm, struct vcpu *vcpu);
void run(struct vm *vm, struct vcpu *vcpu, exit_hook hook);
/* Runs once; true if the test goes on. */
bool run_once(struct vm *vm, struct vcpu *vcpu);
void trace(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* True if the last exit was a byte written to a port. */
bool was_out(const struct vcpu *vcpu, uint16_t port);

/* Reports the trace under the test's name and closes the VM. */
void finish(struct vm *vm, const char *test);

void test_real(const char *name);
void test_protected(const char *name);
void test_pae(const char *name);
void test_long(const char *name);
void test_modes(const char *name);
void test_fault(const char *name);
void test_shutdown(const char *name);
void test_cpuid(const char *name);
void test_interrupt(const char *name);
void test_nmi(const char *name);
void test_irqchip(const char *name);
void test_timer(const char *name);
void test_smp(const char *name);
void test_spin(const char *name);
void test_step(const char *name);
void test_breakpoint(const char *name);
void test_dirty(const char *name);
void test_readonly(const char *name);

#endif
