/* Inputs of $name and the outputs that its specification in PyTorch gives. */
#ifndef ${macro}_REFERENCE_H
#define ${macro}_REFERENCE_H

#include "bittern_kernels.h"

#define ${macro}_REFERENCE_CASES $cases

$arrays
#endif
