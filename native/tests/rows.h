// The rows of a kernels.inc by the suffixes that it gives them.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace bittern {

// Suffixes, and the feature bits that the kernels need.
using RowNames = std::vector<std::tuple<std::string, uint32_t>>;

// Of "conv2d_pairs_arm_neon" in the family "conv2d": "pairs_arm_neon".
inline std::string suffix(const std::string& name, const std::string& family) { return name.substr(family.size() + 1); }

template <class Row>
RowNames names_of(const std::vector<const Row*>& rows, const std::string& family) {
  RowNames names;
  for (const Row* row : rows) names.emplace_back(suffix(row->name, family), row->flags);
  return names;
}

template <class Row>
const Row& row_named(const std::vector<const Row*>& rows, const std::string& family, const std::string& name) {
  for (const Row* row : rows) {
    if (suffix(row->name, family) == name) return *row;
  }
  throw nanobind::value_error(("no kernel of " + family + " is named " + name).c_str());
}

}  // namespace bittern
