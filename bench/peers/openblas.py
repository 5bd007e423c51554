"""OpenBLAS: dense fp32 products, by the library inside NumPy, told its core type: of itself it takes new ones for old."""

import os
import sys

import measuring

args = measuring.options("f32")
os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)
with open("/proc/cpuinfo") as info:
    flags = info.read()
os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX" if " avx512bw " in flags else "Haswell" if " avx2 " in flags else "")
if not os.environ["OPENBLAS_CORETYPE"]:
    del os.environ["OPENBLAS_CORETYPE"]
try:
    import numpy as np
except ImportError as error:
    measuring.missing(error)
if "f32" not in args.formats:
    sys.exit(f"{args.format}: OpenBLAS has f32")

weights = np.random.default_rng(1).standard_normal((measuring.copies_for(4 * args.n * args.k), args.n, args.k), np.float32)
results = []
for rows in args.rows:
    x = np.random.default_rng(2).standard_normal((rows, args.k), np.float32)
    y = np.empty((rows, args.n), np.float32)
    results.append(measuring.product("OpenBLAS", args, "f32", rows, weights[0].nbytes,
                                     lambda turn: np.matmul(x, weights[turn % len(weights)].T, out=y)))
version = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"]
measuring.finish("OpenBLAS", version, results)
