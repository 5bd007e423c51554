"""ggml: products with its formats, experts and attention, by the C functions of llama-cpp-python's libggml.

usage: ggml.py [--format q4_0,q4_K,...] [--rows 1,2,...] [--n N] [--k K] [--threads T] [--work matmul|experts|attention]
               [--library FOLDER] [--name NAME]

Weights lie where llama.cpp would put them: repacked at load where the processor has such kernels. --library names a folder with
the libggml of another build, such as one of ik_llama.cpp, whose own formats (q4_0_r8) can then be named.
"""

import array
import ctypes
import importlib.metadata
import importlib.util
import pathlib
import random

import measuring

Size, Long, Pointer, Text = ctypes.c_size_t, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
ARENA = 16 << 20
BUFFER_OFFSET = 8  # of ggml_tensor.buffer
OF_ACTIVATIONS = {"q8_1", "q8_k"}  # as weights they end the process


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", Size), ("mem_buffer", Pointer), ("no_alloc", ctypes.c_bool)]


LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_int, Text, Pointer)
NO_LOG = LogFunction(lambda level, text, data: None)

FUNCTIONS = {  # name: result, arguments
    "ggml_init": (Pointer, [InitParams]), "ggml_free": (None, [Pointer]), "ggml_type_name": (Text, [ctypes.c_int]),
    "ggml_new_tensor_2d": (Pointer, [Pointer, ctypes.c_int, Long, Long]),
    "ggml_new_tensor_3d": (Pointer, [Pointer, ctypes.c_int, Long, Long, Long]),
    "ggml_mul_mat": (Pointer, [Pointer] * 3), "ggml_mul_mat_id": (Pointer, [Pointer] * 4), "ggml_nbytes": (Size, [Pointer]),
    "ggml_flash_attn_ext": (Pointer, [Pointer] * 5 + [ctypes.c_float] * 3),
    "ggml_new_graph": (Pointer, [Pointer]), "ggml_build_forward_expand": (None, [Pointer, Pointer]),
    "ggml_quantize_chunk": (Size, [ctypes.c_int, Pointer, Pointer, Long, Long, Long, Pointer]),
    "ggml_backend_cpu_init": (Pointer, []), "ggml_backend_cpu_set_n_threads": (None, [Pointer, ctypes.c_int]),
    "ggml_backend_graph_compute": (ctypes.c_int, [Pointer, Pointer]),
    "ggml_backend_tensor_set": (None, [Pointer, Pointer, Size, Size]),
    "ggml_backend_alloc_ctx_tensors_from_buft": (Pointer, [Pointer, Pointer]), "ggml_backend_buffer_free": (None, [Pointer]),
    "ggml_backend_cpu_buffer_type": (Pointer, []),
    # What only some builds have, those that can be told to be silent and that repack in a buffer of its own:
    "ggml_log_set": (None, [LogFunction, Pointer]),
    "ggml_backend_get_device": (Pointer, [Pointer]), "ggml_backend_dev_backend_reg": (Pointer, [Pointer]),
    "ggml_backend_reg_get_proc_address": (Pointer, [Pointer, Text]),
    "ggml_backend_dev_supports_op": (ctypes.c_bool, [Pointer, Pointer]),
    "ggml_backend_buft_alloc_buffer": (Pointer, [Pointer, Size]),
}


def load(folder):
    if not folder:
        package = importlib.util.find_spec("llama_cpp")
        if package is None:
            measuring.missing("llama-cpp-python is not installed")
        folder = pathlib.Path(package.origin).parent / "lib"
    libraries = [ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL) for name in ("ggml-base", "ggml-cpu", "ggml")
                 for path in pathlib.Path(folder).glob(f"**/lib{name}.so")]
    if not libraries:
        measuring.missing(f"{folder}: there is no libggml")
    found = {}
    for name, (result, arguments) in FUNCTIONS.items():
        for library in libraries:
            if function := getattr(library, name, None):
                function.restype, function.argtypes = result, arguments
                found[name.removeprefix("ggml_")] = function
                break
    return found


class Ggml:
    def __init__(self, folder, threads):
        self.call = load(folder)
        if "log_set" in self.call:
            self.call["log_set"](NO_LOG, None)
        self.backend = self.call["backend_cpu_init"]()
        self.call["backend_cpu_set_n_threads"](self.backend, threads)
        self.plain = self.call["backend_cpu_buffer_type"]()
        self.types = {}
        for number in range(400 if folder else 40):  # no function tells how many there are; ik_llama.cpp's reach 399
            name = self.call["type_name"](number)
            if name:
                self.types.setdefault(name.decode().lower(), number)

    def context(self):
        return self.call["init"](InitParams(ARENA, None, True))

    def allocate(self, context, kind):
        return self.call["backend_alloc_ctx_tensors_from_buft"](context, kind)

    def release(self, buffers):
        for buffer in buffers:
            self.call["backend_buffer_free"](buffer)

    def extra_buffer_types(self):
        if "backend_get_device" not in self.call:
            return []
        device = self.call["backend_get_device"](self.backend)
        address = self.call["backend_reg_get_proc_address"](self.call["backend_dev_backend_reg"](device),
                                                           b"ggml_backend_dev_get_extra_bufts")
        if not address:
            return []
        kinds = ctypes.CFUNCTYPE(ctypes.POINTER(Pointer), Pointer)(address)(device)
        found = []
        while kinds and kinds[len(found)]:
            found.append(kinds[len(found)])
        return found

    def home_of(self, weight, node):
        """The buffer type that llama.cpp would keep this weight in."""
        for kind in self.extra_buffer_types():
            buffer = ctypes.c_void_p.from_address(weight + BUFFER_OFFSET)
            buffer.value = self.call["backend_buft_alloc_buffer"](kind, 0)
            fits = self.call["backend_dev_supports_op"](self.call["backend_get_device"](self.backend), node)
            buffer.value = None
            if fits:
                return kind
        return self.plain

    def fill(self, tensors, kind, rows, k):
        """The same random values in each, in their format; rows repeat after 32: some formats search long for theirs."""
        distinct = min(rows, 32)
        values = block = random_floats(distinct * k)
        if kind != self.types["f32"]:
            block = ctypes.create_string_buffer(self.call["nbytes"](tensors[0]) // rows * distinct)
            importance = (ctypes.c_float * k)(*[1.0] * k)  # some formats insist on being told
            self.call["quantize_chunk"](kind, ctypes.addressof(values), block, 0, distinct, k, importance)
        size = self.call["nbytes"](tensors[0])
        data = ctypes.create_string_buffer((bytes(block) * (rows // distinct + 1))[:size], size)
        for tensor in tensors:
            self.call["backend_tensor_set"](tensor, ctypes.addressof(data), 0, size)

    def runner(self, contexts, nodes):
        graphs = []
        for node in nodes:
            graph = self.call["new_graph"](contexts)
            self.call["build_forward_expand"](graph, node)
            graphs.append(graph)

        def run(turn):
            if self.call["backend_graph_compute"](self.backend, graphs[turn % len(graphs)]) != 0:
                raise RuntimeError("ggml_backend_graph_compute failed")
        return run


def random_floats(count):
    random.seed(1)
    period = 4099
    values = array.array("f", [random.gauss(0, 1) for _ in range(min(count, period))])
    return (ctypes.c_float * count).from_buffer((values * (count // len(values) + 1))[:count])


def matmul(ggml, args, name):
    kind, results = ggml.types[name.lower()], []
    for rows in args.rows:
        weights, rest = ggml.context(), ggml.context()
        first = ggml.call["new_tensor_2d"](weights, kind, args.k, args.n)
        bytes_each = ggml.call["nbytes"](first)
        copies = [first] + [ggml.call["new_tensor_2d"](weights, kind, args.k, args.n)
                            for _ in range(measuring.copies_for(bytes_each) - 1)]
        x = ggml.call["new_tensor_2d"](rest, ggml.types["f32"], args.k, rows)
        nodes = [ggml.call["mul_mat"](rest, weight, x) for weight in copies]
        buffers = [ggml.allocate(weights, ggml.home_of(first, nodes[0])), ggml.allocate(rest, ggml.plain)]
        ggml.fill(copies, kind, args.n, args.k)
        ggml.fill([x], ggml.types["f32"], rows, args.k)
        results.append(measuring.product(args.name, args, name, rows, bytes_each, ggml.runner(rest, nodes)))
        ggml.release(buffers)
    return results


def routings(tokens, used, count, turns):
    """As nibble's: the experts of a layer have all had their turn before one comes again. Two layers, in turn."""
    random.seed(2)
    order, begin, drawn = random.sample(range(count), count), [0, 0], []
    for turn in range(turns):
        seats = {}  # of what was drawn: which expert stands for it
        drawn.append([[seats.setdefault(seat, order[(begin[turn % 2] + len(seats)) % count])
                       for seat in random.sample(range(count), used)] for _ in range(tokens)])
        begin[turn % 2] += len(seats)
    return drawn


def experts(ggml, args, name, count=128, used=8):
    kind, results = ggml.types[name.lower()], []
    n, k = 768, 2048
    for tokens in (1, 32, 128):
        weights, rest = ggml.context(), ggml.context()
        layers = [ggml.call["new_tensor_3d"](weights, kind, k, n, count) for _ in range(2)]
        bytes_each = ggml.call["nbytes"](layers[0])
        x = ggml.call["new_tensor_3d"](rest, ggml.types["f32"], k, 1, tokens)
        draws = routings(tokens, used, count, turns=2 * max(1, count // (used * tokens)))  # every expert of both layers
        ids = [ggml.call["new_tensor_2d"](rest, ggml.types["i32"], used, tokens) for _ in draws]
        nodes = [ggml.call["mul_mat_id"](rest, layers[i % 2], x, chosen) for i, chosen in enumerate(ids)]
        buffers = [ggml.allocate(weights, ggml.home_of(layers[0], nodes[0])), ggml.allocate(rest, ggml.plain)]
        ggml.fill(layers, kind, n * count, k)
        ggml.fill([x], ggml.types["f32"], tokens, k)
        for tensor, draw in zip(ids, draws):
            flat = [expert for token in draw for expert in token]
            data = (ctypes.c_int32 * len(flat))(*flat)
            ggml.call["backend_tensor_set"](tensor, ctypes.addressof(data), 0, 4 * len(flat))
        distinct = sum(len({expert for token in draw for expert in token}) for draw in draws) / len(draws)
        results.append(measuring.measured(args, ggml.runner(rest, nodes), lambda times: {
            "peer": args.name, "format": name, "n": n, "k": k, "experts": count, "used": used, "tokens": tokens,
            "threads": args.threads, **measuring.figures(times, bytes_each * distinct / count, 2.0 * tokens * used * n * k)}))
        ggml.release(buffers)
    return results


def attention(ggml, args, name, keys=4096, heads=32, kv_heads=8, depth=128):
    kind, results = ggml.types[name.lower()], []
    for queries in (1, 512):
        caches, rest = ggml.context(), ggml.context()
        first = ggml.call["new_tensor_3d"](caches, kind, depth, keys, kv_heads)
        bytes_both = 2 * ggml.call["nbytes"](first)
        pairs = [(first, ggml.call["new_tensor_3d"](caches, kind, depth, keys, kv_heads))]
        pairs += [tuple(ggml.call["new_tensor_3d"](caches, kind, depth, keys, kv_heads) for _ in range(2))
                  for _ in range(measuring.copies_for(bytes_both) - 1)]
        q = ggml.call["new_tensor_3d"](rest, ggml.types["f32"], depth, queries, heads)
        # Nothing is masked, but what runs models always has a mask, and ik_llama.cpp's kernels want one.
        mask = ggml.call["new_tensor_2d"](rest, ggml.types["f16"], keys, -(-queries // 64) * 64)
        nodes = [ggml.call["flash_attn_ext"](rest, q, k, v, mask, depth ** -0.5, 0, 0) for k, v in pairs]
        buffers = [ggml.allocate(caches, ggml.plain), ggml.allocate(rest, ggml.plain)]
        ggml.fill([tensor for pair in pairs for tensor in pair], kind, keys * kv_heads, depth)
        ggml.fill([q], ggml.types["f32"], queries * heads, depth)
        zeros = ctypes.create_string_buffer(ggml.call["nbytes"](mask))
        ggml.call["backend_tensor_set"](mask, ctypes.addressof(zeros), 0, len(zeros))
        results.append(measuring.measured(args, ggml.runner(rest, nodes), lambda times: {
            "peer": args.name, "kv_dtype": name, "keys": keys, "queries": queries, "threads": args.threads,
            **measuring.figures(times, bytes_both, 4.0 * heads * queries * keys * depth)}))
        ggml.release(buffers)
    return results


def main():
    args = measuring.options(None, work="matmul", library="", name="ggml")
    work = {"matmul": (matmul, "f32,f16,bf16,q4_0,q4_1,q5_0,q5_1,q8_0,q2_K,q3_K,q4_K,q5_K,q6_K,iq4_nl,iq4_xs,mxfp4"),
            "experts": (experts, "q4_K"), "attention": (attention, "f16,q8_0")}
    measure, formats = work[args.work]
    ggml = Ggml(args.library, args.threads)
    results = []
    for name in (args.format or formats).split(","):
        if name.lower() in ggml.types.keys() - OF_ACTIVATIONS:
            results += measure(ggml, args, name)
    version = "" if args.library else f'of llama-cpp-python {importlib.metadata.version("llama_cpp_python")}'
    measuring.finish(args.name, version, results)


if __name__ == "__main__":
    main()
