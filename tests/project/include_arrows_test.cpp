// Include arrows run one way: adapters -> include, and dispatch -> backend -> quant_tensor -> include.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/project/source_tree.h"

namespace nibble_project {
namespace {

/// Where a room's files may look; the longest matching folder speaks. Every include is spelled from the root.
struct Room {
  std::string folder;
  std::vector<std::string> may_enter;
};

const std::vector<Room>& rooms() {
  static const std::vector<Room> table = {
      {"include", {"nibble/"}},
      {"quant_tensor/tensor", {"nibble/", "quant_tensor/"}},
      {"quant_tensor/formats", {"nibble/", "quant_tensor/"}},
      {"backend/common", {"nibble/", "quant_tensor/", "backend/common/"}},
      {"backend/cpu", {"nibble/", "quant_tensor/", "backend/common/", "backend/cpu/"}},
      {"backend/vulkan", {"nibble/", "quant_tensor/", "backend/common/", "backend/vulkan/"}},
      {"dispatch", {"nibble/", "quant_tensor/", "backend/", "dispatch/"}},
      {"adapters/files", {"nibble/", "adapters/files/"}},
      {"adapters/llm", {"nibble/", "adapters/files/", "adapters/llm/"}},
      {"adapters/hosts", {"nibble/", "adapters/files/", "adapters/llm/", "adapters/hosts/"}},
      {"adapters/cli", {"nibble/", "adapters/"}},
  };
  return table;
}

/// Headers of devices: rooms that know no device must not see them.
bool is_device_header(const std::string& name) {
  return name.ends_with("intrin.h") || name.starts_with("arm_") || name.starts_with("vulkan/");
}

/// What stands between the quotes or brackets of an include line; empty if it is none.
std::string included(const std::string& line, char open, char close) {
  const std::size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return {};
  const std::size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string::npos || line.compare(word, 7, "include") != 0) return {};
  const std::size_t begin = line.find(open, word), end = line.rfind(close);
  if (begin == std::string::npos || end == std::string::npos || end <= begin) return {};
  return line.substr(begin + 1, end - begin - 1);
}

/// One line for each include that breaks a rule.
std::vector<std::string> broken_arrows(const SourceFile& file) {
  std::vector<std::string> result;
  if (!file.is_cpp() || file.is_in("tests") || file.is_in("bench")) return result;
  const Room* room = nullptr;
  for (const Room& candidate : rooms()) {
    if (file.is_in(candidate.folder)) room = &candidate;
  }
  if (!room) return {file.path + " stands in no room"};
  for (const std::string& line : file.lines()) {
    const std::string own = included(line, '"', '"'), system = included(line, '<', '>');
    if (!own.empty()) {
      bool allowed = false;
      for (const std::string& prefix : room->may_enter) allowed |= own.starts_with(prefix);
      if (!allowed) result.push_back(file.path + " includes " + own);
    }
    if (system.starts_with("nibble/")) result.push_back(file.path + " includes <" + system + "> with brackets");
    if (!file.is_in("backend") && is_device_header(system)) result.push_back(file.path + " includes " + system);
  }
  return result;
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(IncludeArrows, HoldInTheTree) {
  int seen = 0;
  for (const SourceFile& file : source_files()) {
    EXPECT_THAT(broken_arrows(file), IsEmpty());
    seen += file.is_library();
  }
  EXPECT_GT(seen, 20) << "the tree was not found under " << root();
}

TEST(IncludeArrows, EachForbiddenDirectionIsSeen) {
  const auto broken = [](const char* path, const char* line) { return broken_arrows({path, line}); };
  EXPECT_THAT(broken("adapters/files/a.cpp", "#include \"quant_tensor/tensor/packing.h\""),
              ElementsAre("adapters/files/a.cpp includes quant_tensor/tensor/packing.h"));
  EXPECT_THAT(broken("adapters/files/a.cpp", "#include \"adapters/llm/decoder.h\"").size(), 1u);
  EXPECT_THAT(broken("adapters/llm/a.cpp", "#  include \"adapters/cli/main.h\"").size(), 1u);
  EXPECT_THAT(broken("adapters/hosts/a.cpp", "#include \"adapters/cli/main.h\"").size(), 1u);
  EXPECT_THAT(broken("backend/cpu/a.cpp", "#include \"dispatch/route.h\"").size(), 1u);
  EXPECT_THAT(broken("backend/cpu/a.cpp", "#include \"backend/vulkan/device.h\"").size(), 1u);
  EXPECT_THAT(broken("backend/common/a.h", "#include \"adapters/files/config.h\"").size(), 1u);
  EXPECT_THAT(broken("quant_tensor/formats/a.cpp", "#include \"backend/common/executor.h\"").size(), 1u);
  EXPECT_THAT(broken("quant_tensor/formats/a.cpp", "#include <immintrin.h>").size(), 1u);
  EXPECT_THAT(broken("dispatch/a.cpp", "#include \"adapters/files/config.h\"").size(), 1u);
  EXPECT_THAT(broken("include/nibble/a.h", "#include \"quant_tensor/tensor/packing.h\"").size(), 1u);
  EXPECT_THAT(broken("dispatch/a.cpp", "#include \"route.h\"").size(), 1u) << "spelled from the root";
  EXPECT_THAT(broken("somewhere/a.cpp", "").size(), 1u);

  EXPECT_THAT(broken("adapters/cli/a.cpp", "#include \"adapters/llm/decoder.h\"\n#include <vector>"), IsEmpty());
  EXPECT_THAT(broken("dispatch/a.cpp", "#include \"backend/cpu/matmul.h\"\n#include \"nibble/ops.h\""), IsEmpty());
  EXPECT_THAT(broken("backend/cpu/a.cpp", "#include <immintrin.h>"), IsEmpty());
}

}  // namespace
}  // namespace nibble_project
