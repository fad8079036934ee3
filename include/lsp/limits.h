/* How much memory the processes of a node may take: what the machine has at hand, what
 * its control groups allow, what a batch system granted. Local. */
#ifndef LSP_LIMITS_H
#define LSP_LIMITS_H

typedef struct {
  double bytes;     /* INFINITY: no limit found */
  char source[256]; /* in words: "the control group /job7 (limit 2048 MiB)" */
} lsp_limit;

/* The least of what /proc/meminfo has available and of what is left in the control
 * groups of this process, of version 1 and 2, at every level up to the root. Pages of
 * files do not count as taken: the kernel gives them back. root: "" for this machine;
 * a test gives a folder with a `proc` and a `sys` of its own. */
lsp_limit lsp_memory_left(const char *root);

/* What Slurm grants on a node, from the values of SLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU
 * and SLURM_CPUS_ON_NODE (MiB, MiB, a number; NULL: not set; 0 MiB: no limit). */
lsp_limit lsp_slurm_memory(const char *per_node, const char *per_cpu, const char *cpus);

#endif
