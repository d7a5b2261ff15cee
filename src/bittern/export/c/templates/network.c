/* $model, written by Bittern $version. */
#include "$name.h"

#include "bittern_kernels.h"

/* A debugger's or test's view of each tensor once it is computed. */
#ifndef BITTERN_TRACE
#define BITTERN_TRACE(tensor, data, bytes) ((void)0)
#endif

#define FLOATS(offset) ((float *)(void *)(arena + (offset)))
#define WORDS(offset) ((uint32_t *)(void *)(arena + (offset)))

$constants
$layers

static void forward($parameters) {
$body
}

int ${name}_run(const ${name}_input_t *in, const ${name}_output_t *out, void *arena, size_t arena_bytes) {
  uint8_t *bytes = (uint8_t *)arena;
  if (in == NULL || out == NULL || arena == NULL || $missing) {
    return BITTERN_NULL_POINTER;
  }
  if ((uintptr_t)arena % BITTERN_ALIGNMENT != 0) {
    return BITTERN_MISALIGNED_ARENA;
  }
  if (arena_bytes < ${macro}_ARENA_BYTES) {
    return BITTERN_SMALL_ARENA;
  }
  $prepared
  return BITTERN_OK;
}
