/* longspan --version: everything that a bug report needs. */
#include "build_info.h"
#include "cli.h"
#include "lsp/gemm.h"
#include "lsp/kernels.h"
#include "lsp/layout.h"

#include <mpi.h>
#include <string.h>

/* The first line, with name and version; some libraries add many more lines. */
static void print_mpi(FILE *f) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int n = 0, version = 0, subversion = 0;
  LSP_ASSERT(MPI_Get_library_version(text, &n) == MPI_SUCCESS);
  LSP_ASSERT(MPI_Get_version(&version, &subversion) == MPI_SUCCESS);
  text[strcspn(text, "\r\n")] = '\0';
  for (char *c = text; *c != '\0'; c++)
    *c = *c == '\t' ? ' ' : *c;
  (void)snprintf(text + strlen(text), sizeof text - strlen(text), " (MPI %d.%d)",
                 version, subversion);
  lsp_print_fact(f, "MPI", "%s", text);
}

static void print_blas(FILE *f) {
  lsp_failure why = {0};
  if (lsp_blas_open(NULL, &why) == LSP_OK)
    lsp_print_fact(f, "BLAS", "%s, core %s", lsp_blas_description(), lsp_blas_core());
  else
    lsp_print_fact(f, "BLAS", "%s", why.text);
}

static void print_processor(FILE *f) {
  char name[LSP_BLAS_NAME_SIZE];
  lsp_processor_name(name);
  lsp_print_fact(f, "processor", "%s", name);
  lsp_print_fact(f, "kernels", "%s", lsp_isa_name(lsp_isa_here()));
}

void lsp_print_version(FILE *f) {
  char hdf5[32];
  lsp_hdf5_version(hdf5, sizeof hdf5);
  (void)fprintf(f, "longspan %s%s%s\n", LSP_VERSION, LSP_COMMIT[0] != '\0' ? " " : "",
                LSP_COMMIT);
  lsp_print_fact(f, "compiler", "%s", LSP_COMPILER);
  lsp_print_fact(f, "flags", "%s", LSP_FLAGS);
  lsp_print_fact(f, "system", "%s", LSP_SYSTEM);
  print_mpi(f);
  lsp_print_fact(f, "HDF5", "%s", hdf5);
  print_blas(f);
  print_processor(f);
}
