#pragma once

// Marks what the library exports; everything else is hidden (the build sets -fvisibility=hidden).
#define NIBBLE_API __attribute__((visibility("default")))
