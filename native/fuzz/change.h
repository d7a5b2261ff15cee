// Changes to a call that no exporter would make.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include "fuzz/call_values.h"

namespace bittern::fuzz {

// One change to one value, or to their number.
void change(FuzzedDataProvider& in, CallValues* call);

}  // namespace bittern::fuzz
