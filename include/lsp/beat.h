/* Signs of life of this process: what the watchdog (lsp/watch.h) looks at. Local; a few
 * relaxed atomics, so that any code may call them as often as it likes. */
#ifndef LSP_BEAT_H
#define LSP_BEAT_H

#include <stdint.h>

/* Something was done: a panel, a piece of a file, a message. Any thread. */
void lsp_beat(void);

/* What the process is doing, as in "stuck in PHASE": a string that stays. layer -1:
 * none. A sign of life, too. */
void lsp_beat_phase(const char *phase, int layer);

/* The main thread waits for other ranks (1), or has what it waited for (0), which is a
 * sign of life. Set around every MPI call by LSP_MPI. */
void lsp_beat_wait(int waits);

/* The process waits for someone outside of the job, such as standard input, for as long
 * as it takes (1), or no longer (0). */
void lsp_beat_excuse(int excused);

typedef struct {
  uint64_t beats;
  const char *phase;
  int layer, waits, excused;
} lsp_beat_state;

lsp_beat_state lsp_beat_now(void);

#endif
