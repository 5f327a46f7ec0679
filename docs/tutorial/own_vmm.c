/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The smallest hypervisor program: a guest in real mode that says one letter, and halts. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { CODE = 0x1000, MEMORY = 0x2000, PORT = 0x10 };

int main(void)
{
    static const uint8_t code[] = {
        0xb0, 'A',  /* mov $'A', %al */
        0xe6, PORT, /* out %al, $PORT */
        0xf4,       /* hlt */
    };
    int kvm = open("/dev/kvm", O_RDWR);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_run *run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
                               MAP_SHARED, vcpu, 0);
    struct kvm_userspace_memory_region slot = {.memory_size = MEMORY, .userspace_addr = (uintptr_t)memory};
    struct kvm_regs registers = {.rip = CODE, .rflags = 2};
    struct kvm_sregs special;

    if (vcpu < 0 || memory == MAP_FAILED || run == MAP_FAILED) {
        perror("/dev/kvm");
        return 1;
    }
    memcpy(memory + CODE, code, sizeof(code));
    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
    ioctl(vcpu, KVM_GET_SREGS, &special);
    special.cs.base = 0;
    special.cs.selector = 0;
    ioctl(vcpu, KVM_SET_SREGS, &special);
    ioctl(vcpu, KVM_SET_REGS, &registers);

    while (ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_IO) {
        printf("the guest says %c on port %02XH\n", *((char *)run + run->io.data_offset), run->io.port);
    }
    printf("the guest ended with exit reason %u\n", run->exit_reason);
    return run->exit_reason == KVM_EXIT_HLT ? 0 : 1;
}
