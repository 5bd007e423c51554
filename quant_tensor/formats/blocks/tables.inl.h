// The numbers that codes of four bits stand for.
#pragma once

/// Of IQ4_NL and IQ4_XS: closer together around zero.
constexpr std::int8_t kNonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// E2M1: a sign, two bits of exponent, one of mantissa; twice its value, so that all are integers.
constexpr std::int8_t kTwiceE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
