"""PyTorch on the CPU: linear layers in f32 and bf16, and its own int4 and int8 products where this build has them."""

import measuring

try:
    import torch
except ImportError as error:
    measuring.missing(error)


def dense(args, dtype):
    weights = torch.randn(args.n, args.k).to(dtype)
    copies = [weights.clone() for _ in range(measuring.copies_for(weights.nbytes))]
    return weights.nbytes, dtype, lambda x, turn: torch.nn.functional.linear(x, copies[turn % len(copies)])


def int4(args, group=64):
    codes = torch.randint(0, 16, (args.n, args.k), dtype=torch.int32)
    packed = torch._convert_weight_to_int4pack_for_cpu(codes, 1)
    scales = torch.randn(args.k // group, args.n, 2).to(torch.bfloat16)
    copies = [(packed.clone(), scales.clone()) for _ in range(measuring.copies_for(packed.nbytes + scales.nbytes))]
    return packed.nbytes + scales.nbytes, torch.bfloat16, lambda x, turn: torch._weight_int4pack_mm_for_cpu(
        x, copies[turn % len(copies)][0], group, copies[turn % len(copies)][1])


def int8(args):
    weights = torch.quantize_per_channel(torch.randn(args.n, args.k), torch.full((args.n,), 0.01),
                                         torch.zeros(args.n, dtype=torch.int64), 0, torch.qint8)
    copies = [torch.ops.quantized.linear_prepack(weights, None) for _ in range(measuring.copies_for(args.n * args.k))]
    return args.n * args.k, torch.float32, lambda x, turn: torch.ops.quantized.linear_dynamic(x, copies[turn % len(copies)])


KINDS = {"f32": lambda args: dense(args, torch.float32), "bf16": lambda args: dense(args, torch.bfloat16),
         "affine4-g64": int4, "int8-ch": int8}


def main():
    args = measuring.options(",".join(KINDS))
    torch.set_num_threads(args.threads)
    results = []
    for name in args.formats:
        if name not in KINDS:
            continue
        try:
            weight_bytes, dtype, product = KINDS[name](args)
            for rows in args.rows:
                x = torch.randn(rows, args.k).to(dtype)
                results.append(measuring.product("torch", args, name, rows, weight_bytes, lambda turn: product(x, turn)))
        except (RuntimeError, AttributeError):
            continue  # not in this build
    measuring.finish("torch", torch.__version__, results)


if __name__ == "__main__":
    with torch.no_grad():
        main()
