/* $model, written by Bittern $version. */
#ifndef ${macro}_H
#define ${macro}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

$sizes

typedef struct {
$inputs
} ${name}_input_t;

typedef struct {
$outputs
} ${name}_output_t;

/* Computes the outputs. Keeps nothing between calls, and may run several times at once, with an arena each.
 *
 * arena: arena_bytes bytes, at least ${macro}_ARENA_BYTES, at a multiple of 4; its contents do not matter.
 * Returns BITTERN_OK (0), or an error of bittern_kernels.h, and then nothing was written.
 */
int ${name}_run(const ${name}_input_t *in, const ${name}_output_t *out, void *arena, size_t arena_bytes);

#ifdef __cplusplus
}
#endif

#endif
