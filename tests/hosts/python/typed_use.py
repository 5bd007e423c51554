"""Checked by mypy, not run: what a typed program writes."""

import numpy as np

import nibble as nb

w: nb.Tensor = nb.quantize(np.ones((4, 64), np.float32), bits=4)
y: nb.Tensor = nb.asarray([[1.0]]) @ w.T + 1
z: nb.Tensor = nb.sum(w, axis=0, keepdims=True)
shape: tuple[int, ...] = w.shape
parts: dict[str, nb.Tensor] = w.components()
name: str | None = w.format
can: str = nb.capability("matmul", "float32", name, (4, 64))
with nb.options(precision="fast"):
    pair: tuple[nb.Tensor, nb.Tensor] = nb.topk(y, 1)
