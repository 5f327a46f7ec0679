/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A serial port (16450): what the guest sends is kept by lines, and each line reported. */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERIAL_PORT = 0x3f8, SERIAL_LINE = 4 };

struct serial {
    uint8_t interrupts, line, modem, scratch, divisor[2];
    bool sent; /* the transmitter became empty, and nobody has read that yet */
    size_t used;
    char text[400];
};

uint8_t serial_read(struct serial *serial, unsigned index);
void serial_write(struct serial *serial, unsigned index, uint8_t value);
bool serial_interrupt(const struct serial *serial);
/* Reports what is left of a line. */
void serial_flush(struct serial *serial);

#endif
