/* Limits of memory, read from a /proc and a /sys that the test makes. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/limits.h"

#include <math.h>
#include <sys/stat.h>

static const double mib = 1 << 20;

/* A file below the folder of the test, with the folders above it. */
static void put(const char *root, const char *path, const char *text) {
  char whole[2 * LSP_TEST_PATH];
  lsp_failure why = {0};
  (void)snprintf(whole, sizeof whole, "%s%s", root, path);
  for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash != NULL;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    (void)mkdir(whole, 0700);
    *slash = '/';
  }
  assert_int_equal(lsp_replace_file(whole, text, strlen(text), &why), LSP_OK);
}

static const char *machine_of_gib_16(void) {
  const char *root = lsp_test_folder();
  put(root, "/proc/meminfo",
      "MemTotal:       33554432 kB\nMemAvailable:   16777216 kB\n");
  return root;
}

static void test_without_groups_it_is_what_the_machine_has(void **state) {
  (void)state;
  const lsp_limit limit = lsp_memory_left(machine_of_gib_16());
  assert_true(limit.bytes == 16 * 1024 * mib);
  assert_non_null(strstr(limit.source, "MemAvailable"));
}

static void test_nothing_known_is_no_limit(void **state) {
  (void)state;
  assert_true(isinf(lsp_memory_left(lsp_test_folder()).bytes));
}

static void test_the_smallest_limit_above_a_group_of_version_2_counts(void **state) {
  (void)state;
  const char *root = machine_of_gib_16();
  put(root, "/proc/self/cgroup", "0::/job/step/task\n");
  put(root, "/sys/fs/cgroup/job/step/task/memory.max", "max\n");
  put(root, "/sys/fs/cgroup/job/step/task/memory.current", "1048576\n");
  put(root, "/sys/fs/cgroup/job/step/memory.max", "8589934592\n");
  put(root, "/sys/fs/cgroup/job/step/memory.current", "0\n");
  put(root, "/sys/fs/cgroup/job/memory.max", "2147483648\n");
  put(root, "/sys/fs/cgroup/job/memory.current", "1073741824\n");
  /* of the GiB taken, 512 MiB are pages of files, 128 of them shared memory */
  put(root, "/sys/fs/cgroup/job/memory.stat",
      "anon 1\nfile 536870912\nkernel 0\nshmem 134217728\n");
  const lsp_limit limit = lsp_memory_left(root);
  assert_true(limit.bytes == (1024 + 384) * mib);
  assert_string_equal(limit.source, "the control group /job (limit 2048 MiB)");
}

static void test_groups_of_version_1_count_too(void **state) {
  (void)state;
  const char *root = machine_of_gib_16();
  put(root, "/proc/self/cgroup",
      "11:cpuset,cpu:/other\n4:hugetlb,memory:/slurm/uid_1/job_2\n0::/nowhere\n");
  put(root, "/sys/fs/cgroup/memory/slurm/uid_1/job_2/memory.limit_in_bytes",
      "9223372036854771712\n"); /* none */
  put(root, "/sys/fs/cgroup/memory/slurm/uid_1/job_2/memory.usage_in_bytes", "5\n");
  put(root, "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", "3221225472\n");
  put(root, "/sys/fs/cgroup/memory/slurm/memory.usage_in_bytes", "2147483648\n");
  put(root, "/sys/fs/cgroup/memory/slurm/memory.stat",
      "cache 1\ntotal_cache 1073741824\ntotal_shmem 0\n");
  const lsp_limit limit = lsp_memory_left(root);
  assert_true(limit.bytes == 2048 * mib);
  assert_string_equal(limit.source, "the control group /slurm (limit 3072 MiB)");
}

static void test_a_container_sees_its_own_group_as_the_root(void **state) {
  (void)state;
  const char *root = machine_of_gib_16();
  put(root, "/proc/self/cgroup", "0::/../abc\n");
  put(root, "/sys/fs/cgroup/memory.max", "1073741824\n");
  put(root, "/sys/fs/cgroup/memory.current", "0\n");
  const lsp_limit limit = lsp_memory_left(root);
  assert_true(limit.bytes == 1024 * mib);
  assert_string_equal(limit.source, "the control group / (limit 1024 MiB)");
}

static void test_slurm_grants_by_node_or_by_core(void **state) {
  (void)state;
  assert_true(lsp_slurm_memory("4000", "100", "2").bytes == 4000 * mib);
  assert_true(lsp_slurm_memory(NULL, "100", "16").bytes == 1600 * mib);
  assert_true(isinf(lsp_slurm_memory("0", NULL, NULL).bytes));
  assert_true(isinf(lsp_slurm_memory(NULL, "100", NULL).bytes));
  assert_true(isinf(lsp_slurm_memory(NULL, NULL, NULL).bytes));
  assert_true(isinf(lsp_slurm_memory("plenty", NULL, NULL).bytes));
}

LSP_TESTS(cmocka_unit_test(test_without_groups_it_is_what_the_machine_has),
          cmocka_unit_test(test_nothing_known_is_no_limit),
          cmocka_unit_test(test_the_smallest_limit_above_a_group_of_version_2_counts),
          cmocka_unit_test(test_groups_of_version_1_count_too),
          cmocka_unit_test(test_a_container_sees_its_own_group_as_the_root),
          cmocka_unit_test(test_slurm_grants_by_node_or_by_core))
