/* popcount(a ^ w) over many words: what a binary layer does most. */
#include "bittern_kernels.h"

#if defined(__GNUC__) && !defined(BITTERN_PORTABLE) && (defined(__POPCNT__) || defined(__aarch64__))

static int32_t count_bits(const uint32_t *a, const uint32_t *w, const uint32_t *mask, int32_t words) {
  int32_t total = 0;
  for (int32_t i = 0; i < words; ++i) {
    const uint32_t x = a[i] ^ w[i];
    total += __builtin_popcount(mask == NULL ? x : x & mask[i]);
  }
  return total;
}

#else

/* Four sums, one in each byte, of the bits of a byte. */
static uint32_t byte_counts(uint32_t x) {
  x -= x >> 1 & 0x55555555u;
  x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
  return (x + (x >> 4)) & 0x0f0f0f0fu;
}

/* a + b + *sum = the new *sum + 2 * the result, in every bit. */
static uint32_t add_bits(uint32_t *sum, uint32_t a, uint32_t b) {
  const uint32_t either = a ^ b, c = *sum;
  *sum = either ^ c;
  return (a & b) | (either & c);
}

static uint32_t difference(const uint32_t *a, const uint32_t *w, const uint32_t *mask, int32_t i) {
  return mask == NULL ? a[i] ^ w[i] : (a[i] ^ w[i]) & mask[i];
}

/* Adds eight words to sums of weight 1, 2 and 4; returns the carries, of weight 8. */
static uint32_t add_eight(uint32_t sums[3], const uint32_t *a, const uint32_t *w, const uint32_t *mask) {
  uint32_t twos[4];
  for (int32_t i = 0; i < 4; ++i) {
    twos[i] = add_bits(&sums[0], difference(a, w, mask, 2 * i), difference(a, w, mask, 2 * i + 1));
  }
  const uint32_t low = add_bits(&sums[1], twos[0], twos[1]), high = add_bits(&sums[1], twos[2], twos[3]);
  return add_bits(&sums[2], low, high);
}

/* The sum of four bytes. */
static int32_t sum_of_bytes(uint32_t x) {
  const uint32_t pairs = (x & 0x00ff00ffu) + (x >> 8 & 0x00ff00ffu);
  return (int32_t)((pairs & 0xffffu) + (pairs >> 16));
}

/* Cores without a popcount: eight words become one of each weight 1, 2 and 4, and one of weight 8 whose bits are counted
 * (Harley and Seal; H. S. Warren, Hacker's Delight, 2nd edition, section 5-1).
 */
static int32_t count_bits(const uint32_t *a, const uint32_t *w, const uint32_t *mask, int32_t words) {
  uint32_t sums[3] = {0, 0, 0};
  int32_t total = 0, i = 0;
  while (words - i >= 8) {
    /* At most 31 times 8 in a byte. */
    const int32_t end = words - i > 248 ? i + 248 : words;
    uint32_t eights = 0;
    for (; end - i >= 8; i += 8) {
      eights += byte_counts(add_eight(sums, a + i, w + i, mask == NULL ? NULL : mask + i));
    }
    total += 8 * sum_of_bytes(eights);
  }
  /* At most 7 times 8 and 7 times 8 more in a byte. */
  uint32_t rest = byte_counts(sums[0]) + 2 * byte_counts(sums[1]) + 4 * byte_counts(sums[2]);
  for (; i < words; ++i) {
    rest += byte_counts(difference(a, w, mask, i));
  }
  return total + sum_of_bytes(rest);
}

#endif
