/* From reset to main on bare metal, and from main to the end of QEMU through semihosting. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top;
extern void initialise_monitor_handles(void); /* of librdimon: standard output */
extern int main(void);

void reset(void);
void _init(void);
void _fini(void);

void _init(void) {}
void _fini(void) {}

void reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t*)0xe000ed88u |= 0xfu << 20; /* CPACR: the FPU, and MVE with it */
  __asm volatile("dsb\n isb");
#endif
  initialise_monitor_handles();
  exit(main());
}

static void fault(void) {
  for (;;) {
    __asm volatile("bkpt 0"); /* ends QEMU */
  }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))(void*)&stack_top, reset, fault, fault, fault, fault, fault,
};
