/* Other orders of the same numbers. */
#include "bittern_kernels.h"

void bittern_copy(const bittern_copy_t* copy, const void* in, void* out) {
  const unsigned char* from = (const unsigned char*)in + copy->in_offset;
  unsigned char* to = (unsigned char*)out + copy->out_offset;
  const int32_t *sizes = copy->sizes, *is = copy->in_strides, *os = copy->out_strides;
  for (int32_t i = 0; i < sizes[0]; ++i) {
    for (int32_t j = 0; j < sizes[1]; ++j) {
      for (int32_t k = 0; k < sizes[2]; ++k) {
        for (int32_t l = 0; l < sizes[3]; ++l) {
          for (int32_t m = 0; m < sizes[4]; ++m) {
            const unsigned char* source = from + i * is[0] + j * is[1] + k * is[2] + l * is[3] + m * is[4];
            unsigned char* target = to + i * os[0] + j * os[1] + k * os[2] + l * os[3] + m * os[4];
            for (int32_t b = 0; b < copy->bytes; ++b) {
              target[b] = source[b];
            }
          }
        }
      }
    }
  }
}
