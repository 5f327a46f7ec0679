/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Process 1 of the Linux guest that runs under KVM inside the machine: says what it sees, and ends the guest. */
#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

int main(void)
{
    struct utsname name;
    char vendor[13] = "";
    unsigned leaf;

    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    uname(&name);
    __cpuid(0x40000000, leaf, *(unsigned *)vendor, *(unsigned *)(vendor + 4), *(unsigned *)(vendor + 8));
    int console = open("/dev/console", O_WRONLY);
    dprintf(console, "guest: kernel=%s cpus=%ld hypervisor=%s\n", name.release, sysconf(_SC_NPROCESSORS_ONLN), vendor);
    tcdrain(console);
    reboot(RB_AUTOBOOT);
    return 0;
}
