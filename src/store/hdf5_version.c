/* Which HDF5 this process runs with; it may be another one than it was built with. */
#include "lsp/layout.h"

#include <hdf5.h>
#include <stdio.h>

void lsp_hdf5_version(char *text, size_t size) {
  unsigned major = 0, minor = 0, release = 0;
  if (H5get_libversion(&major, &minor, &release) < 0)
    (void)snprintf(text, size, "unknown version");
  else
    (void)snprintf(text, size, "%u.%u.%u", major, minor, release);
}
