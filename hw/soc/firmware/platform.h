/* SPDX-License-Identifier: MIT
 *
 * The microcontroller of hw/soc/microcontroller.sv: serial line and clock.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdint.h>

/* Sets the clocks of a bit on the serial line. */
void serial_divider(uint32_t clocks);

void put_char(char c);
void put_text(const char *text);
void put_decimal(uint32_t value);
void put_hex(uint32_t value);

/* Clocks since reset, the low 32 bits. */
uint32_t clocks(void);

#endif
