"""Packed weights in torch: products, gradients, views, copies, whole modules; against the decoded weight."""

import copy
import io
import threading

import numpy as np
import pytest

import nibble as nb

torch = pytest.importorskip("torch", reason="torch is not installed (make deps-torch)")
import torch.nn.functional as F  # noqa: E402

import nibble.torch as nt  # noqa: E402

OLD = not hasattr(torch.Tensor, "__dlpack_c_exchange_api__")  # some of what is tested is younger than torch 2.4


def rand(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture(autouse=True)
def only_packed_kernels():
    """What decodes a weight says so: tests of that ask for it."""
    with nb.options(fallback="error", precision="exact"):
        yield


def dense(w):
    with nb.options(fallback="allow"):
        return w.dequantize()


def close(got, want, tolerance=1e-5):
    assert type(got) is torch.Tensor and got.dtype == want.dtype and got.shape == want.shape
    largest = float(want.abs().max()) if want.numel() else 1
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance * largest)


W = nt.quantize(rand(128, 256), bits=4)
D = dense(W)
E = nt.quantize(rand(4, 64, 128, seed=3), bits=8)
PRODUCTS = {
    "linear": lambda x, w: F.linear(x, w),
    "linear with bias": lambda x, w: F.linear(x, w, torch.ones(128)),
    "matmul": lambda x, w: torch.matmul(x, w.T),
    "@": lambda x, w: x @ w.t(),
    "transpose": lambda x, w: x @ w.transpose(-1, -2),
    "permute": lambda x, w: x @ w.permute(1, 0),
    "on the left": lambda x, w: (w @ x.reshape(-1, 256).T).T,
    "of a vector": lambda x, w: torch.mv(w, x.reshape(-1, 256).sum(0)),
    "across": lambda x, w: x[..., :128] @ w,
}


@pytest.mark.parametrize("shape", [(256,), (1, 256), (5, 256), (2, 3, 256), (0, 256)])
@pytest.mark.parametrize("product", PRODUCTS)
def test_products(product, shape):
    x = rand(*shape, seed=1)
    for inference in (False, True):
        with torch.inference_mode(inference):
            close(PRODUCTS[product](x, W), PRODUCTS[product](x, D))


def test_products_by_their_own_functions():
    x, bias = rand(5, 256), rand(128)
    close(torch.mm(x, W.t()), torch.mm(x, D.t()))
    close(torch.addmm(bias, x, W.t(), beta=2, alpha=0.5), torch.addmm(bias, x, D.t(), beta=2, alpha=0.5))
    y = rand(4, 3, 128)
    close(torch.bmm(y, E.mT), torch.bmm(y, dense(E).mT))
    close(y @ E.transpose(1, 2), y @ dense(E).mT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_strided_activations(dtype):
    w = W.to(dtype)
    assert isinstance(w, nt.PackedTensor) and w.dtype == dtype
    x = rand(256, 6, dtype=dtype).T[::2]
    close(F.linear(x, w).float(), F.linear(x.float(), D), 2e-2)
    assert F.linear(x, w).dtype == dtype


def test_layers_that_nobody_looks_at_take_the_short_way():
    w, x = W.clone(), rand(5, 256)
    want = F.linear(x, D)
    with torch.no_grad():
        close(F.linear(x, w), want)
        assert w.at_hand is not None or OLD  # which exchanges no tensors by DLPack's table
        close(F.linear(x, w, torch.ones(128)), want + 1)
        close(F.linear(x[0], w), want[0])
        close(torch.func.vmap(lambda row: F.linear(row, w))(x), want)
        close(torch.func.functionalize(lambda v: F.linear(v, w))(x), want)
        close(F.linear(torch.complex(x, -x).conj().imag, w), want)  # a negative view
        with torch.autocast("cpu", torch.bfloat16):
            close(F.linear(x, w).float(), want, 1e-2)
        with pytest.raises(TypeError, match="matmul"):
            F.linear(torch.ones(2, 256, dtype=torch.int64), w)
        with pytest.raises(ValueError, match="matmul"):
            F.linear(x[:, 1:], w)
        with pytest.raises(nb.ArgumentError, match=r"aten\.bmm.*each must be as many matrices"):
            torch.bmm(x[None], w.T)
        with pytest.raises(nb.ArgumentError, match=r"aten\.mm.*each must be a matrix"):
            torch.mm(x[None], w.T)
        close(F.linear(x, copy.deepcopy(w)), want)
        for part in w.parts:
            part.data = part.clone()  # lies elsewhere now
        close(F.linear(x, w), want)
    assert F.linear(x.requires_grad_(), w).requires_grad


def test_torchs_threads_compute_the_same():
    w, x, before = nt.quantize(rand(512, 1024)), rand(3, 1024), torch.get_num_threads()
    results = []

    def products():
        for _ in range(20):
            with torch.no_grad(), nb.options(precision="exact"):  # which belong to a thread
                results.extend([F.linear(x, w), torch.mm(x, w.T)])

    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            products()
        callers = [threading.Thread(target=products) for _ in range(3)]
        [caller.start() for caller in callers]
        [caller.join() for caller in callers]
    finally:
        torch.set_num_threads(before)
    assert len(results) == 6 * 40 and all(torch.equal(y, results[0]) for y in results)


def test_gradients_flow_to_activations():
    for forward in PRODUCTS.values():
        x, y = (rand(3, 256).requires_grad_() for _ in range(2))
        forward(x, W).square().sum().backward()
        forward(y, D).square().sum().backward()
        close(x.grad, y.grad)


def test_weights_are_not_trained():
    with pytest.raises(RuntimeError, match="adapter"):
        W.detach().requires_grad_()
    for weight in (W.detach(), torch.nn.Parameter(W, requires_grad=False)):
        with pytest.raises(RuntimeError, match="adapter"):
            weight.requires_grad = True
        weight.requires_grad = False
        assert not weight.requires_grad
    with pytest.raises(RuntimeError, match="does not change"):
        W.add_(1)
    with pytest.raises(RuntimeError, match="packed alike"):
        W.copy_(D)


def test_what_cannot_be_packed_is_told():
    layer = torch.nn.Linear(64, 4)
    for wrong in ({"bits": 9}, {"group_size": 48}, {"format": "nope"}):
        with pytest.raises(nb.ArgumentError, match=r"\[quantize\]"):
            nt.quantize_(layer, **wrong)
    assert not isinstance(layer.weight, nt.PackedTensor)
    assert not isinstance(nt.quantize_(torch.nn.Linear(65, 4)).weight, nt.PackedTensor)
    for call, text in ((lambda: nt.quantize_(layer.weight), r"\[quantize_\] Parameter: takes a torch.nn.Module"),
                       (lambda: nt.dequantize_(W), r"\[dequantize_\] PackedTensor: takes a torch.nn.Module"),
                       (lambda: nt.wrap(layer.weight), r"\[wrap\] Parameter: takes a nibble.Tensor")):  # fmt: skip
        with pytest.raises(TypeError, match=text):
            call()
    elsewhere = torch.Tensor._make_wrapper_subclass(ValuesElsewhere, (4, 64), dtype=torch.float32)
    # Older torch asks the tensor itself, which refuses.
    refusal = (AssertionError, "nobody computes") if OLD else (NotImplementedError, "no memory of its own")
    with pytest.raises(refusal[0], match=refusal[1]):
        nt.quantize(elsewhere)


@pytest.mark.parametrize("nobody_looks", (False, True))
def test_activations_that_lie_elsewhere_are_refused(nobody_looks):
    w = nt.quantize(torch.randn(8, 64))
    with torch.set_grad_enabled(not nobody_looks):
        for x in (torch.ones(3, 64, device="meta"), torch.ones(3, 64).to_sparse()):
            for product in (F.linear, lambda x, w: x @ w.T):
                with pytest.raises(nb.UnsupportedError, match="only strided ones in the CPU's memory"):
                    product(x, w)


class ValuesElsewhere(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("nobody computes with it")


def test_packed_weights_are_packed_anew_and_do_not_change():
    dense = torch.randn(8, 64)
    w = nt.quantize(dense, bits=8)
    assert nt.quantize(dense.numpy(), bits=8).parts[0].equal(w.parts[0])  # NumPy's arrays too
    with pytest.raises(nb.ForbiddenError):
        nt.quantize(w, bits=4)
    with nb.options(fallback="allow"):
        values = w.dequantize()
        anew, same = nt.quantize(w, bits=4), nt.quantize(values, bits=4)
        assert anew.format == "affine4-g64" and torch.equal(anew.dequantize(), same.dequantize())
        for place in (0, (0, 0), slice(1, 3)):
            with pytest.raises(RuntimeError, match="does not change"):
                w[place] = 1.0
        dense[:2] = w[:2]
    assert torch.equal(dense[:2], values[:2])


def test_embedding_rows_and_experts():
    ids = torch.tensor([[0, 5], [127, 5]])
    close(F.embedding(ids, W), F.embedding(ids, D))
    offsets = torch.tensor([2, 2, 5, 9], dtype=torch.int32)
    x, experts = rand(9, 128), dense(E)
    y = torch.ops.nibble.grouped_matmul(x, *E.weight, True, offsets)
    want = torch.cat([x[b:e] @ experts[i].T for i, (b, e) in enumerate([(0, 2), (2, 2), (2, 5), (5, 9)])])
    close(y, want)
    for w, d in [(E[2], experts[2]), (E[1:3], experts[1:3]), (E[torch.tensor([3, 0])], experts[[3, 0]]),
                 (W[7], D[7]), (W[3:9:2], D[3:9:2]), (E.mT[1], experts.mT[1])]:  # fmt: skip
        assert isinstance(w, nt.PackedTensor)
        close(dense(w), d)
    packed = [*E.unbind(), *W.chunk(4), *W.split([28, 100])]
    for w, d in zip(packed, [*experts.unbind(), *D.chunk(4), *D.split([28, 100])]):
        assert isinstance(w, nt.PackedTensor)
        close(dense(w), d)


def test_what_has_no_packed_kernel_is_decoded_where_that_is_allowed():
    functions = {"aten.exp": torch.exp, "aten.add": lambda w: w + 1, "aten.slice": lambda w: w[:, :3],
                 "aten.sum": lambda w: w.sum(), "aten.cat": lambda w: torch.cat([w, w], 1),
                 "dequantize": lambda w: w.dequantize()}  # fmt: skip
    for name, function in functions.items():
        with pytest.raises(nb.ForbiddenError, match=rf"\[{name}.*affine4-g64 \(128, 256\).*forbids") as caught:
            function(W)
        assert caught.value.code == "fallback_forbidden"
        with nb.options(fallback="allow"):
            close(function(W), function(D))
    for values in (lambda w: w.numpy(), np.asarray, lambda w: np.array(w.tolist(), np.float32)):
        with pytest.raises(nb.ForbiddenError):
            values(W)
        with nb.options(fallback="allow"):
            for w, d in ((W, D), (W.T, D.T)):
                np.testing.assert_array_equal(values(w), d.numpy())
    before = nb.stats()["bytes_dequantized"]
    with nb.options(fallback="allow"):
        torch.exp(W)
    assert nb.stats()["bytes_dequantized"] > before


def test_copies_pickling_and_state():
    stream = io.BytesIO()
    torch.save({"w": W, "t": W.T}, stream)
    stream.seek(0)
    loaded = torch.load(stream)
    parameter = torch.nn.Parameter(W, requires_grad=False)
    for w in (W.clone(), W.detach(), copy.deepcopy(W), parameter, loaded["w"], loaded["t"].T):
        assert isinstance(w, nt.PackedTensor) and w.format == "affine4-g64"
        close(dense(w), D, 0)
    assert repr(W) == "PackedTensor(shape=(128, 256), dtype=torch.float32, format=affine4-g64)"


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(96, 128)
        self.up = torch.nn.Linear(128, 256)
        self.narrow = torch.nn.Linear(256, 10)
        self.down = torch.nn.Linear(256, 128, bias=False)
        self.head = torch.nn.Linear(128, 96, bias=False)
        self.head.weight = self.embed.weight
        self.experts = torch.nn.Parameter(rand(3, 128, 128))

    def forward(self, ids):
        h = self.embed(ids)
        h = h + self.down(F.silu(self.up(h)))
        return self.head(h @ self.experts[1].T)


def packed_model(**arguments):
    torch.manual_seed(0)
    return nt.quantize_(Model(), **arguments)


def test_modules():
    model = packed_model(bits=8)
    assert isinstance(model.up.weight, nt.PackedTensor) and type(model.up) is torch.nn.Linear
    assert model.embed.weight is model.head.weight and isinstance(model.experts, nt.PackedTensor)
    assert not isinstance(packed_model(where=lambda name: name == "down.weight").up.weight, nt.PackedTensor)
    reference = copy.deepcopy(model)
    for module in reference.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            if isinstance(p, nt.PackedTensor):
                setattr(module, name, torch.nn.Parameter(dense(p)))
    ids = torch.arange(12).reshape(2, 6)
    close(model(ids).detach(), reference(ids).detach())

    other = packed_model(bits=8)
    other.load_state_dict(model.state_dict())
    close(other(ids).detach(), model(ids).detach(), 0)
    assert model.to(torch.bfloat16)(ids).dtype == torch.bfloat16


def test_adapters_learn_beside_packed_weights():
    model = packed_model()
    bytes_before = [part.clone() for part in model.up.weight.parts]
    a, b = rand(4, 128).mul_(0.1).requires_grad_(), torch.zeros(128, 4, requires_grad=True)
    optimizer = torch.optim.Adam([a, b], lr=1e-2)
    ids, losses = torch.arange(12).reshape(2, 6), []
    for _ in range(5):
        h = model.embed(ids)
        h = h + F.linear(F.linear(h, a), b)
        logits = model.head(h + model.down(F.silu(model.up(h))))
        loss = F.cross_entropy(logits.reshape(-1, 96), ids.reshape(-1) + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(p, q) for p, q in zip(model.up.weight.parts, bytes_before))


def test_the_op_is_what_torch_wants_of_one():
    x = rand(3, 256).requires_grad_()
    torch.library.opcheck(torch.ops.nibble.matmul, (x, *W.weight, True))
    torch.library.opcheck(torch.ops.nibble.take, (*W.weight, torch.tensor([[3], [0]])))
    offsets = torch.tensor([1, 1, 2, 3])
    torch.library.opcheck(torch.ops.nibble.grouped_matmul, (x[:, :128].detach(), *E.weight, True, offsets))
    with nb.options(fallback="allow"):
        torch.library.opcheck(torch.ops.nibble.decode, W.weight)


def test_tracing():
    model = packed_model(bits=8)
    ids = torch.arange(12).reshape(2, 6)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    close(compiled(ids).detach(), model(ids).detach())


@pytest.mark.skipif(OLD, reason="torch exports no subclasses of tensors")
@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs(strict):
    model = packed_model(bits=8).eval()
    ids = torch.arange(12).reshape(2, 6)
    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(model, (ids,), dynamic_shapes={"ids": {0: rows}}, strict=strict)
    more = torch.cat([ids, ids.flip(1)])
    close(program.module()(more).detach(), model(more).detach())

    stream = io.BytesIO()
    torch.export.save(program, stream)
    stream.seek(0)
    close(torch.export.load(stream).module()(more).detach(), model(more).detach())

    lowered = program.run_decompositions()  # to operations on the parts
    operations = [str(node.target) for node in lowered.graph.nodes if node.op == "call_function"]
    assert operations.count("nibble.matmul.default") == 4 and "nibble.take.default" in operations
    assert not {"nibble.decode.default", "aten.mm.default", "aten.addmm.default"} & set(operations)
    close(lowered.module()(more).detach(), model(more).detach())


def test_wrapping_nibbles_own():
    w = nb.quantize(np.ones((8, 64), np.float32), format="q8_0")
    close(F.linear(torch.ones(2, 64), nt.wrap(w)), torch.full((2, 8), 64.0), 1e-2)
    for refused in (w.T, nb.ones((2, 2))):
        with pytest.raises(ValueError, match="last axis"):
            nt.wrap(refused)


def test_inputs_in_an_order_of_their_own():
    def ordered(seed):
        order = np.random.default_rng(seed).permutation(256).astype(np.int32)
        return order, nb.from_components("affine4-g64", {**stored.components(), "input_order": order}, stored.shape)

    stored = nb.quantize(rand(128, 256).numpy(), bits=4)
    order, own = ordered(4)
    w, other = nt.wrap(own), nt.wrap(ordered(5)[1])
    d = dense(w)
    assert torch.equal(d[:, order], dense(nt.wrap(stored)))
    for forward in PRODUCTS.values():
        x, y = (rand(3, 256, seed=1).requires_grad_() for _ in range(2))
        forward(x, w).square().sum().backward()
        forward(y, d).square().sum().backward()
        close(x.grad, y.grad)
    close(F.embedding(torch.tensor([7, 0]), w), d[[7, 0]])
    stream = io.BytesIO()
    torch.save(w, stream)
    stream.seek(0)
    target = copy.deepcopy(other)
    target.copy_(w)
    for view, values in [(torch.load(stream), d), (target, d), (w[3:9], d[3:9]), (w.view(1, 128, 256)[0], d),
                         (torch.cat([w, target]), torch.cat([d, d])), *zip(w.chunk(2), d.chunk(2))]:  # fmt: skip
        assert isinstance(view, nt.PackedTensor) and view.input_order is not None
        close(dense(view), values)
    with pytest.raises(nb.ForbiddenError):
        torch.cat([w, other])  # which have no order in common
    with pytest.raises(RuntimeError, match="packed alike"):
        nt.wrap(stored).copy_(w)
    torch.library.opcheck(torch.ops.nibble.matmul, (rand(3, 256).requires_grad_(), *w.weight, True))
    layer = torch.nn.Linear(256, 128)
    layer.weight = torch.nn.Parameter(w, requires_grad=False)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    close(compiled(rand(2, 256)).detach(), layer(rand(2, 256)).detach())


def test_memory_that_packed_tensors_have_not_is_not_handed_out(tmp_path):
    w = nt.quantize(rand(128, 256), bits=4)
    with pytest.raises(BufferError, match="no DLPack layout"):
        torch.from_dlpack(w)
    for v in (w, w.T, w[3:9], w.to(torch.bfloat16), copy.deepcopy(w), torch.nn.Parameter(w, requires_grad=False)):
        assert v.data_ptr() == 0
        versioned = [] if OLD else [torch._C._to_dlpack_versioned]
        for export in (torch.utils.dlpack.to_dlpack, *versioned):  # they ask no override
            with pytest.raises(RuntimeError, match="forbids decoding" if OLD else "Cannot access data pointer"):
                export(v)
    with pytest.raises(RuntimeError, match="save_pretrained and safetensors take it after"):
        w.storage()
    with pytest.raises(RuntimeError, match="does not change"):
        w.data = torch.zeros(3)
    for v, values in ((w, dense(w)), (w.T, dense(w).T)):
        assert nb.asarray(v).is_quantized
        np.testing.assert_array_equal(nb.asarray(v).numpy(), values.numpy())
    layer = torch.nn.Linear(256, 128, bias=False)
    layer.weight = torch.nn.Parameter(w, requires_grad=False)
    nb.save(tmp_path / "w.safetensors", layer.state_dict())
    assert nb.load(tmp_path / "w.safetensors")["weight"].format == w.format
    want = F.linear(torch.ones(3, 256), w)
    assert not w.is_shared() and w.share_memory_() is w and w.is_shared()  # as model.share_memory() does
    close(F.linear(torch.ones(3, 256), w), want)
