"""MLX on the CPU: products with its own affine weights, scales and biases in bf16, and dense ones."""

import re

import measuring

try:
    import mlx.core as mx
except ImportError as error:
    measuring.missing(error)


def product(args, name):
    """(bytes of a weight, dtype of x, product(x, turn)); None for what MLX does not have."""
    weight = mx.random.normal((args.n, args.k))
    if name in ("f32", "bf16"):
        weight = weight.astype(mx.bfloat16 if name == "bf16" else mx.float32)
        copies = [mx.array(weight) for _ in range(measuring.copies_for(weight.nbytes))]
        mx.eval(copies)
        return weight.nbytes, weight.dtype, lambda x, turn: x @ copies[turn % len(copies)].T
    affine = re.fullmatch(r"affine(\d)-g(\d+)", name)
    if not affine:
        return None
    bits, group = map(int, affine.groups())
    parts = mx.quantize(weight.astype(mx.bfloat16), group, bits)
    mx.eval(parts)
    weight_bytes = sum(part.nbytes for part in parts)
    copies = [[mx.array(part) for part in parts] for _ in range(2)]  # bound by arithmetic: cold or not is no matter
    mx.eval(copies)
    return weight_bytes, mx.bfloat16, lambda x, turn: mx.quantized_matmul(
        x, *copies[turn % 2], transpose=True, group_size=group, bits=bits)


def main():
    args = measuring.options("affine4-g64", slowest_rows="1")
    mx.set_default_device(mx.cpu)
    results = []
    for name in args.formats:
        made = product(args, name)
        if not made:
            continue
        weight_bytes, dtype, multiply = made
        for rows in args.rows:
            if name.startswith("affine") and rows > int(args.slowest_rows):
                continue  # scalar code on one thread: seconds a product
            x = mx.random.normal((rows, args.k)).astype(dtype)
            results.append(measuring.product("MLX", args, name, rows, weight_bytes, lambda turn: mx.eval(multiply(x, turn))))
    measuring.finish("MLX", mx.__version__, results)


if __name__ == "__main__":
    main()
