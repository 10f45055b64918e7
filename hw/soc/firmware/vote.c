/* SPDX-License-Identifier: MIT */
#include "vote.h"

#include <string.h>

void vote_clear(vote *v, uint32_t classes) {
    v->classes = classes;
    v->executions = 0;
    memset(v->votes, 0, sizeof v->votes);
}

void vote_add(vote *v, uint32_t label) {
    v->votes[label]++;
    v->executions++;
}

uint32_t vote_winner(const vote *v) {
    uint32_t winner = 0;
    for (uint32_t c = 1; c < v->classes; c++) {
        if (v->votes[c] > v->votes[winner]) {
            winner = c;
        }
    }
    return winner;
}

int vote_decided(const vote *v, uint32_t left) {
    uint32_t winner = vote_winner(v);
    for (uint32_t c = 0; c < v->classes; c++) {
        uint32_t reach = v->votes[c] + left;
        if (c != winner && (reach > v->votes[winner] || (reach == v->votes[winner] && c < winner))) {
            return 0;
        }
    }
    return 1;
}
