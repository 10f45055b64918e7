/* SPDX-License-Identifier: MIT
 *
 * The microcontroller of hw/soc/microcontroller.sv: serial line and clock.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdint.h>

/* Sets the clocks of a bit on the serial line. */
void serial_divider(uint32_t clocks);

/* The next byte, waited for, for so many clocks at most; SERIAL_NONE if none came, and SERIAL_LOST
 * if bytes before it were lost. */
enum { SERIAL_NONE = -1, SERIAL_LOST = -2 };
int get_byte(uint32_t limit);

void put_char(char c);
void put_text(const char *text);
void put_decimal(uint32_t value);
void put_hex(uint32_t value);

/* Clocks since reset, the low 32 bits. */
uint32_t clocks(void);

#endif
