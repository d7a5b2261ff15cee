#!/usr/bin/env bash
# Compiles C files for a Cortex-M core and runs them in QEMU:
#
#     run.sh CORE FILE.c ...            CORE: cortex-m0plus, cortex-m3, -m4, -m7, -m33 or -m55
#     run.sh cortex-m4 OUT/*.c          the test in a folder of `bittern export --target c`
#
# FLAGS holds other compiler flags. Needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.
set -euo pipefail
here=$(dirname "$0") core=$1
shift

# QEMU has no board with an M0+; an M3 runs its code. tick: of the board's SysTick, in picoseconds.
case $core in
  cortex-m0plus) board=mps2-an385 float=soft code=0x0 data=0x20000000 tick=40000 ;;
  cortex-m3) board=mps2-an385 float=soft code=0x0 data=0x20000000 tick=40000 ;;
  cortex-m4) board=mps2-an386 float=hard code=0x0 data=0x20000000 tick=40000 ;;
  cortex-m7) board=mps2-an500 float=hard code=0x0 data=0x20000000 tick=40000 ;;
  cortex-m33) board=mps2-an505 float=hard code=0x10000000 data=0x38000000 tick=50000 ;;
  cortex-m55) board=mps3-an547 float=hard code=0x10000000 data=0x30000000 tick=31250 ;;
  *) echo "run.sh: no board for '$core': cortex-m0plus, -m3, -m4, -m7, -m33 or -m55" >&2 && exit 2 ;;
esac

program=$(mktemp)
trap 'rm -f "$program"' EXIT
arm-none-eabi-gcc -mcpu="$core" -mthumb -mfloat-abi=$float -O2 -std=c99 -ffp-contract=off \
  -DTICK_PICOSECONDS=$tick ${FLAGS:-} \
  --specs=rdimon.specs -nostartfiles -ffunction-sections -fdata-sections -Wl,--gc-sections \
  -Wl,--defsym=code=$code,--defsym=data=$data -T "$here/board.ld" "$here/startup.c" "$@" -o "$program"
arm-none-eabi-size "$program" >&2
# An instruction takes a nanosecond of the board's time, so that its clock counts instructions.
timeout 600 qemu-system-arm -M $board -nographic -semihosting -icount shift=0 -kernel "$program" </dev/null
