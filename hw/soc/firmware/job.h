/* SPDX-License-Identifier: MIT
 *
 * What the application is to do: it lies in memory behind the firmware, images behind it.
 */
#ifndef JOB_H
#define JOB_H

#include "noisewalk.h"

enum { JOB_MAGIC = 0x31424f4a }; /* "JOB1" */

typedef struct {
    uint32_t magic;
    uint32_t divider;        /* clocks of a bit on the serial line */
    uint32_t time_limit;     /* clocks that a run may take */
    uint32_t points;         /* noise settings, one after another */
    uint32_t images;         /* of each point */
    uint32_t executions;     /* 0: all images in one run; k: each image k times, and a vote */
    uint32_t early;          /* whether a vote ends when it is decided */
    uint32_t table_entries;  /* of the table of quantiles that every tap gets; 0: none */
    uint32_t table_address;  /* where it lies: low and high word of each entry */
    uint32_t image_address;  /* where the images lie */
    uint32_t result_address; /* where results go */
    nw_noise noise[];        /* of each tap of the first point, then of the next point */
} job;

#endif
