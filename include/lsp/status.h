/* How functions report failures.
 *
 * Three kinds of failure, three answers:
 *   - something outside is wrong (file, option, memory): a status, and its message in
 *     an lsp_failure that the caller lends;
 *   - an MPI call fails, or our own invariant breaks: the whole job ends at once with
 *     rank, file and line (LSP_MPI in lsp/ctx.h, LSP_ASSERT here). */
#ifndef LSP_STATUS_H
#define LSP_STATUS_H

#include <stddef.h>

/* name, exit status of the program, words */
#define LSP_STATUS_TABLE(X)                                                            \
  X(LSP_OK, 0, "done")                                                                 \
  X(LSP_E_USAGE, 2, "wrong usage")                                                     \
  X(LSP_E_INPUT, 1, "input not usable")                                                \
  X(LSP_E_FORMAT, 1, "file not as its format demands")                                 \
  X(LSP_E_IO, 1, "reading or writing failed")                                          \
  X(LSP_E_MEMORY, 1, "not enough memory")                                              \
  X(LSP_E_LIMIT, 1, "beyond a limit of the program")                                   \
  X(LSP_E_MISMATCH, 1, "does not belong to what is there already")                     \
  X(LSP_E_STOPPED, 75, "stopped on request, all committed")

typedef enum {
#define X(name, exit_status, words) name,
  LSP_STATUS_TABLE(X)
#undef X
} lsp_status;

enum { LSP_MESSAGE_SIZE = 1024 };

/* The message of the first failure: one line that names file, place, what was
 * expected and what to do. Owned by the caller; zero-initialise it. */
typedef struct {
  lsp_status status;
  int agreed; /* the text has been through lsp_agree, and names a rank if need be */
  char text[LSP_MESSAGE_SIZE];
} lsp_failure;

/* Local. Keeps status and message in *why (which may be NULL); returns status. Of a
 * message that is too long (a long path), the middle is left out. */
lsp_status lsp_fail(lsp_failure *why, lsp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__ /* the analyzer does not see that lsp_fail returns its
                             status */
#define lsp_fail(why, status, ...) ((void)lsp_fail(why, status, __VA_ARGS__), (status))
#endif

/* Local. Exit status of the program for a status. */
int lsp_exit_status(lsp_status status);

/* Local. A few words for a status; never NULL. */
const char *lsp_status_words(lsp_status status);

/* Local. Ends the job: message to stderr, then the handler set by lsp_on_panic (which
 * calls MPI_Abort once MPI runs), else abort(). Does not return. */
_Noreturn void lsp_panic(const char *file, int line, const char *what);
void lsp_on_panic(void (*handler)(void));

#define LSP_ASSERT(condition)                                                          \
  ((condition) ? (void)0 : lsp_panic(__FILE__, __LINE__, #condition))

/* Returns from the calling function unless the expression is LSP_OK. */
#define LSP_TRY(expression)                                                            \
  do {                                                                                 \
    const lsp_status lsp_try_status = (expression);                                    \
    if (lsp_try_status != LSP_OK)                                                      \
      return lsp_try_status;                                                           \
  } while (0)

#endif
