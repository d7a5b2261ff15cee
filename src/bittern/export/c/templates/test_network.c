/* Exits with 0 if $name gives exactly its reference outputs. */
#include <stdio.h>

#include "$name.h"
#include "${name}_reference.h"

static uint32_t arena[(${macro}_ARENA_BYTES + 3) / 4];
$outputs

static int run(const ${name}_input_t *in) {
  const ${name}_output_t out = {$fields};
  const int error = ${name}_run(in, &out, arena, sizeof arena);
  if (error != BITTERN_OK) {
    printf("${name}_run returns %d\n", error);
  }
  return error != BITTERN_OK;
}

static int compare(int number, const char *output, const float *expected, const float *actual, int count) {
  int different = 0;
  for (int i = 0; i < count; ++i) {
    const int same = expected[i] == actual[i] || (expected[i] != expected[i] && actual[i] != actual[i]);
    different += !same;
  }
  printf("case %d, %s: %d of %d values differ\n", number, output, different, count);
  return different != 0;
}

int main(void) {
  int failures = 0;
$cases  return failures != 0;
}
