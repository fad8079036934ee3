#include "lsp/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

static const double mib = 1 << 20;

/* Where the two versions of control groups keep the numbers that are read here. */
typedef struct {
  const char *mount, *limit, *usage;
  const char *pages, *shared; /* keys of memory.stat: pages of files; of them, pages of
                                 shared memory, which only look like a file's */
} version;

static const version one = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                            "memory.usage_in_bytes", "total_cache ", "total_shmem "};
static const version two = {"/sys/fs/cgroup", "memory.max", "memory.current", "file ",
                            "shmem "};

/* The number after `key`, from the line that begins with it ("": the first line);
 * `none` if there is no such line, or no number in it. */
static double number_in(const char *path, const char *key, double none) {
  char line[256], *end = NULL;
  double value = none;
  int found = 0;
  FILE *f = fopen(path, "r");
  while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
    found = strncmp(line, key, strlen(key)) == 0;
    if (!found)
      continue;
    value = strtod(line + strlen(key), &end);
    if (end == line + strlen(key) || !isfinite(value))
      value = none;
  }
  if (f != NULL)
    (void)fclose(f);
  return value;
}

/* Bytes left in one group; INFINITY if it sets no limit. */
static double left_in(const char *root, const version *v, const char *group,
                      double *limit) {
  char path[3 * PATH_SIZE];
  (void)snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->limit);
  *limit = number_in(path, "", INFINITY);
  if (*limit >= 0x1p62) /* version 1 writes its largest number where there is none */
    *limit = INFINITY;
  if (*limit == INFINITY)
    return INFINITY;
  (void)snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->usage);
  double taken = number_in(path, "", 0);
  (void)snprintf(path, sizeof path, "%s%s%s/memory.stat", root, v->mount, group);
  taken -= fmax(0, number_in(path, v->pages, 0) - number_in(path, v->shared, 0));
  return fmax(0, *limit - fmax(0, taken));
}

/* A group and all groups above it. A container often sees its own group as the root;
 * then files of the groups above do not exist, and set no limit. */
static void look_upwards(const char *root, const version *v, char *group,
                         lsp_limit *least) {
  for (;;) {
    double limit = INFINITY;
    const double left = left_in(root, v, group, &limit);
    if (left < least->bytes) {
      least->bytes = left;
      (void)snprintf(least->source, sizeof least->source,
                     "the control group %.150s (limit %.0f MiB)",
                     group[0] != '\0' ? group : "/", limit / mib);
    }
    char *slash = strrchr(group, '/');
    if (slash == NULL)
      return;
    *slash = '\0';
  }
}

static int names_memory(const char *controllers) {
  for (const char *at = controllers; *at != '\0' && *at != ':';) {
    const size_t n = strcspn(at, ",:");
    if (n == strlen("memory") && strncmp(at, "memory", n) == 0)
      return 1;
    at += n + (at[n] == ',');
  }
  return 0;
}

/* A line of /proc/self/cgroup: number:controllers:/path; no controllers in version 2. */
static void take_line(const char *root, char *line, lsp_limit *least) {
  char *controllers = strchr(line, ':');
  char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
  if (group == NULL)
    return;
  controllers++;
  group++;
  group[strcspn(group, "\n")] = '\0';
  if (strcmp(group, "/") == 0 || strstr(group, "..") != NULL) /* beyond our root */
    group[0] = '\0';
  if (controllers[0] == ':')
    look_upwards(root, &two, group, least);
  else if (names_memory(controllers))
    look_upwards(root, &one, group, least);
}

lsp_limit lsp_memory_left(const char *root) {
  char path[PATH_SIZE], line[PATH_SIZE];
  lsp_limit least = {INFINITY, "no limit"};
  (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
  const double available = 1024 * number_in(path, "MemAvailable:", INFINITY);
  if (available < least.bytes) {
    least.bytes = available;
    (void)snprintf(least.source, sizeof least.source,
                   "the machine (MemAvailable of /proc/meminfo)");
  }
  (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *f = fopen(path, "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    take_line(root, line, &least);
  if (f != NULL)
    (void)fclose(f);
  return least;
}

static double positive(const char *text) {
  const double n = text != NULL ? strtod(text, NULL) : 0;
  return n > 0 && isfinite(n) ? n : 0;
}

lsp_limit lsp_slurm_memory(const char *per_node, const char *per_cpu,
                           const char *cpus) {
  lsp_limit limit = {INFINITY, "no limit"};
  if (positive(per_node) > 0) {
    limit.bytes = mib * positive(per_node);
    (void)snprintf(limit.source, sizeof limit.source, "Slurm (SLURM_MEM_PER_NODE)");
  } else if (positive(per_cpu) > 0 && positive(cpus) > 0) {
    limit.bytes = mib * positive(per_cpu) * positive(cpus);
    (void)snprintf(limit.source, sizeof limit.source,
                   "Slurm (SLURM_MEM_PER_CPU times SLURM_CPUS_ON_NODE)");
  }
  return limit;
}
