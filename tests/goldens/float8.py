"""float8.safetensors: every 8-bit float of OCP's OFP8 as ml_dtypes reads it, and what it rounds floats to: each value, and
the floats at, just below and just above the middle between two. (torch 2.15 takes the largest number where a float
is past it; here, as in the specification's other mode, it becomes an infinity or NaN, which cannot pass unseen.)

For e4m3 and e5m2: `.codes` (256,), `.values` f32 (256,), `.x` f32 (n,), `.rounded` u8 (n,).
"""

from pathlib import Path

import ml_dtypes
import numpy as np

from golden_io import record_versions, save_tensors

HERE = Path(__file__).parent
F32 = np.float32


def around_every_rounding(dtype):
    values = np.arange(128, dtype=np.uint8).view(dtype).astype(F32)
    values = values[np.isfinite(values)]
    past = 2 * values[-1] - values[-2]
    middles = (values + np.append(values[1:], past)) / F32(2)
    x = np.concatenate([values, middles, np.nextafter(middles, F32(0)), np.nextafter(middles, F32(np.inf)),
                        np.array([1e9, np.inf, np.nan, 1e-30], F32)])
    return np.concatenate([x, -x])


tensors = {}
for name, dtype in (("e4m3", ml_dtypes.float8_e4m3fn), ("e5m2", ml_dtypes.float8_e5m2)):
    codes, x = np.arange(256, dtype=np.uint8), around_every_rounding(dtype)
    tensors |= {f"{name}.codes": codes, f"{name}.values": codes.view(dtype).astype(F32), f"{name}.x": x,
                f"{name}.rounded": x.astype(dtype).view(np.uint8)}
save_tensors(HERE / "float8.safetensors", tensors)
record_versions(__file__, "ml_dtypes", "numpy", "safetensors")
