/* SPDX-License-Identifier: MIT
 *
 * A vote over the labels of several executions. Most votes win, and of equals the lowest label.
 */
#ifndef VOTE_H
#define VOTE_H

#include <stdint.h>

enum { VOTE_MOST_CLASSES = 256 };

typedef struct {
    uint32_t classes;
    uint32_t executions;
    uint32_t winner; /* so far */
    uint16_t votes[VOTE_MOST_CLASSES];
} vote;

/* Begins again; at most VOTE_MOST_CLASSES. */
void vote_clear(vote *v, uint32_t classes);

/* Counts a label, which must be a class. */
void vote_add(vote *v, uint32_t label);

uint32_t vote_winner(const vote *v);

/* Whether no further executions, so many at most, can change the winner. */
int vote_decided(const vote *v, uint32_t left);

#endif
