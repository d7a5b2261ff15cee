/* popcount(a ^ w) over many words: what a binary layer does most. */
#include "bittern_kernels.h"

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define NO_INLINE __attribute__((noinline))
#else
#define INLINE static inline
#define NO_INLINE
#endif

#if defined(__GNUC__) && !defined(BITTERN_PORTABLE) && (defined(__POPCNT__) || defined(__aarch64__))

static int32_t count_bits(const uint32_t* a, const uint32_t* w, const uint32_t* mask, int32_t words) {
  int32_t total = 0;
  for (int32_t i = 0; i < words; ++i) {
    const uint32_t x = a[i] ^ w[i];
    total += __builtin_popcount(mask == NULL ? x : x & mask[i]);
  }
  return total;
}

#else

/* Cores without a popcount. Words are added bit by bit: column j of the words of weight 1, 2, 4 and 8 below holds the
 * number of ones that bit j had so far (Harley and Seal; H. S. Warren, Hacker's Delight, 2nd edition, section 5-1). So a
 * word costs one full adder of five instructions, and only every sixteenth is counted.
 */
typedef struct {
  uint32_t ones, twos, fours, eights;
} columns_t;

/* a + b + *sum = the new *sum + 2 * the result, in every bit. */
INLINE uint32_t add_bits(uint32_t* sum, uint32_t a, uint32_t b) {
  const uint32_t either = a ^ b, c = *sum;
  *sum = either ^ c;
  return (a & b) | (either & c);
}

/* Adds words of weight 2, 4 or 8 to columns that stay below 16. */
INLINE void add_eights(columns_t* sums, uint32_t eights) { sums->eights ^= eights; }

INLINE void add_fours(columns_t* sums, uint32_t fours) {
  add_eights(sums, sums->fours & fours);
  sums->fours ^= fours;
}

INLINE void add_twos(columns_t* sums, uint32_t twos) {
  add_fours(sums, sums->twos & twos);
  sums->twos ^= twos;
}

#if defined(__thumb2__) && defined(__GNUC__) && !defined(BITTERN_PORTABLE)
/* Two words an instruction, which compilers rarely find. */
#define LOAD_PAIR(x, y, words, i) \
  __asm("ldrd %0, %1, [%2, %3]" : "=r"(x), "=r"(y) : "r"(words), "i"(4 * (i)), "m"((words)[i]), "m"((words)[(i) + 1]))
#else
#define LOAD_PAIR(x, y, words, i) ((x) = (words)[i], (y) = (words)[(i) + 1])
#endif

/* Adds words i and i + 1; the result is of weight 2. */
#define ADD_TWO(i, result)                    \
  do {                                        \
    uint32_t a0, a1, w0, w1;                  \
    LOAD_PAIR(a0, a1, a, i);                  \
    LOAD_PAIR(w0, w1, w, i);                  \
    a0 ^= w0;                                 \
    a1 ^= w1;                                 \
    if (mask != NULL) {                       \
      a0 &= mask[i];                          \
      a1 &= mask[(i) + 1];                    \
    }                                         \
    (result) = add_bits(&sums->ones, a0, a1); \
  } while (0)

#define ADD_FOUR(i, result)                      \
  do {                                           \
    uint32_t low, high;                          \
    ADD_TWO(i, low);                             \
    ADD_TWO((i) + 2, high);                      \
    (result) = add_bits(&sums->twos, low, high); \
  } while (0)

#define ADD_EIGHT(i, result)                          \
  do {                                                \
    uint32_t first, second;                           \
    ADD_FOUR(i, first);                               \
    ADD_FOUR((i) + 4, second);                        \
    (result) = add_bits(&sums->fours, first, second); \
  } while (0)

/* Adds sixteen words; the result is of weight 16. */
INLINE uint32_t add_sixteen(columns_t* sums, const uint32_t* a, const uint32_t* w, const uint32_t* mask) {
  uint32_t lower, upper;
  ADD_EIGHT(0, lower);
  ADD_EIGHT(8, upper);
  return add_bits(&sums->eights, lower, upper);
}

/* Eight sums, one in each nibble, of the bits of a nibble. */
INLINE uint32_t nibble_counts(uint32_t x) {
  x -= x >> 1 & 0x55555555u;
  return (x & 0x33333333u) + (x >> 2 & 0x33333333u);
}

/* Four sums, one in each byte, of nibbles that hold up to 15 each. */
INLINE uint32_t byte_counts(uint32_t nibbles) { return (nibbles & 0x0f0f0f0fu) + (nibbles >> 4 & 0x0f0f0f0fu); }

/* The sum of four bytes. */
INLINE int32_t sum_of_bytes(uint32_t x) {
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && !defined(BITTERN_PORTABLE)
  int32_t sum;
  __asm("usad8 %0, %1, %2" : "=r"(sum) : "r"(x), "r"(0));
  return sum;
#else
  const uint32_t pairs = (x & 0x00ff00ffu) + (x >> 8 & 0x00ff00ffu);
  return (int32_t)((pairs + (pairs >> 16)) & 0xffffu);
#endif
}

/* Inlined twice: with a mask, and without. */
INLINE int32_t count_columns(const uint32_t* a, const uint32_t* w, const uint32_t* mask, int32_t words) {
  columns_t state = {0, 0, 0, 0}, *const sums = &state;
  uint32_t carry;
  int32_t total = 0;
  /* What is left of sixteens first: columns that begin empty hold it. */
#define ADVANCE(count) (a += (count), w += (count), mask = mask == NULL ? NULL : mask + (count))
  if ((words & 8) != 0) {
    ADD_EIGHT(0, carry);
    add_eights(sums, carry);
    ADVANCE(8);
  }
  if ((words & 4) != 0) {
    ADD_FOUR(0, carry);
    add_fours(sums, carry);
    ADVANCE(4);
  }
  if ((words & 2) != 0) {
    ADD_TWO(0, carry);
    add_twos(sums, carry);
    ADVANCE(2);
  }
  if ((words & 1) != 0) {
    carry = mask == NULL ? *a ^ *w : (*a ^ *w) & *mask;
    add_twos(sums, sums->ones & carry);
    sums->ones ^= carry;
    ADVANCE(1);
  }
  for (int32_t blocks = words >> 4; blocks > 0;) {
    uint32_t sixteens = 0; /* at most 31 times 8 in a byte */
    const int32_t last = blocks > 31 ? blocks - 31 : 0;
    do {
      sixteens += byte_counts(nibble_counts(add_sixteen(sums, a, w, mask)));
      ADVANCE(16);
    } while (--blocks > last);
    total += 16 * sum_of_bytes(sixteens);
  }
  /* At most 4 + 2 * 4 in a nibble, and 24 + 4 * 24 in a byte. */
  const uint32_t low = nibble_counts(sums->ones) + 2 * nibble_counts(sums->twos);
  const uint32_t high = nibble_counts(sums->fours) + 2 * nibble_counts(sums->eights);
  return total + sum_of_bytes(byte_counts(low) + 4 * byte_counts(high));
}

/* Two functions of their own, so that each has all registers for its columns. */
static NO_INLINE int32_t count_all(const uint32_t* a, const uint32_t* w, int32_t words) {
  return count_columns(a, w, NULL, words);
}

static NO_INLINE int32_t count_masked(const uint32_t* a, const uint32_t* w, const uint32_t* mask, int32_t words) {
  return count_columns(a, w, mask, words);
}

INLINE int32_t count_bits(const uint32_t* a, const uint32_t* w, const uint32_t* mask, int32_t words) {
  return mask == NULL ? count_all(a, w, words) : count_masked(a, w, mask, words);
}

#endif
