# Builds for 64-bit Arm with Debian's cross compiler. What is built runs here under qemu, which emulates the processor that
# QEMU_CPU names, else one that has everything.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu -E NIBBLE_EMULATED=1)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)

# Libraries that are headers alone are this machine's own, seen after the other processor's.
set(CMAKE_CXX_FLAGS_INIT "-idirafter /usr/include")
