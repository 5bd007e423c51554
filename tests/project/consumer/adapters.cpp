// Errors cross the library's border as one type, and the adapters' headers come with the package.
#include <adapters/llm/decoder.h>
#include <nibble/error.h>
#include <nibble/io.h>

#include <cstdio>

int main() {
  try {
    nibble::load("no such folder");
  } catch (const nibble::Error& error) {
    std::printf("%s: %s\n", nibble::name(error.code()), error.what());
    return 0;
  }
  return 1;
}
