#pragma once

#include <nlohmann/json.hpp>

#include "tests/support/test_files.h"

namespace nibble::tests {

using Json = nlohmann::json;

inline Json read_json(const fs::path& path) { return Json::parse(read_file(path)); }

}  // namespace nibble::tests
