/* Being asked to stop, by a signal.
 *
 *   USR1, USR2, TERM, INT    the run ends at its next commit (exit status 75)
 *   TERM or INT once more    the process ends at once, whatever it does; what was
 *                            committed stays as it is (exit status 75)
 *
 * Blocking calls of the main thread are not restarted: they end with EINTR. Local. */
#ifndef LSP_STOP_H
#define LSP_STOP_H

#include <stdint.h>

/* Begins to listen; before MPI_Init, by the main thread. Signals that would end the
 * process without a word (SIGPIPE, SIGXFSZ) are ignored from here on, so that the call
 * fails instead. speaks: this process says on stderr what it was asked, if it is still
 * running two seconds later. */
void lsp_stop_listen(int speaks);

/* From here on this process does not say that it was asked; that it ends at once it
 * always says. */
void lsp_stop_hush(void);

/* In so many seconds the process counts as asked; 0: never. */
void lsp_stop_after(int64_t seconds);

/* 1 once the process has been asked to stop. Any thread; costs little. Asking is a sign
 * of life (lsp/beat.h). */
int lsp_stop_asked(void);

/* Waits until fd can be read without blocking (1), or the process has been asked to
 * stop (0). A signal between the question and the reading is not lost. Without
 * lsp_stop_listen it only waits for fd. However long that takes, it is no hang. */
int lsp_stop_or_readable(int fd);

/* The work under way ends in about so many seconds: what is said to who asks. Negative:
 * not known. */
void lsp_stop_expect(double seconds);

#endif
