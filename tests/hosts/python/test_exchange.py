"""DLPack both ways, and memory that outlives its owners."""

import ctypes
import gc
import weakref

import numpy as np
import pytest

import nibble as nb


def test_dlpack_shares_memory_both_ways():
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = nb.from_dlpack(a.T)
    assert x.shape == (4, 3)
    back = np.from_dlpack(x)
    assert back.__array_interface__["data"][0] == a.__array_interface__["data"][0]
    np.testing.assert_array_equal(back, a.T)
    assert x.__dlpack_device__() == (1, 0)
    for dtype in (np.float16, np.float64, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint32, np.bool_):
        v = np.array([0, 1, 1], dtype)
        assert np.from_dlpack(nb.from_dlpack(v)).dtype == v.dtype


def test_dlpack_of_a_view_is_strided():
    x = nb.asarray(np.arange(24, dtype=np.float32).reshape(4, 6))
    np.testing.assert_array_equal(np.from_dlpack(x[1:3, ::2]), np.arange(24).reshape(4, 6)[1:3, ::2])


def test_dlpack_of_a_packed_tensor_says_why_not():
    w = nb.quantize(np.ones((4, 64), np.float32))
    for refuse in (lambda: np.from_dlpack(w), w.__dlpack__, w.__dlpack_device__):
        with pytest.raises(BufferError, match=r"packed.*components\(\)"):
            refuse()
    for part in w.components().values():
        np.from_dlpack(part)


def test_dlpack_arguments():
    x = nb.ones(3)
    with pytest.raises(BufferError):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))
    assert np.from_dlpack(x, copy=True).tolist() == [1, 1, 1]


class DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("rest", ctypes.c_uint64 * 16)]


def test_capsules_of_later_versions_and_used_ones_are_refused():
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    structure = DLManagedTensorVersioned(2, 0)
    capsule = new(ctypes.addressof(structure), b"dltensor_versioned", None)
    with pytest.raises(BufferError, match="DLPack 2"):
        nb.from_dlpack(capsule)
    used = nb.ones(3).__dlpack__(max_version=(1, 0))
    nb.from_dlpack(used)
    with pytest.raises(TypeError, match="still to be used"):
        nb.from_dlpack(used)
    for other in ("text", None):
        with pytest.raises(TypeError, match="from_dlpack"):
            nb.from_dlpack(other)
    with pytest.raises(NotImplementedError, match=r"\[asarray\] complex numbers of 128 bits"):
        nb.asarray(1j * np.ones(2))
    for other in (["a"], [None], np.zeros(2, "M8[s]"), np.zeros(2, "i4,f4")):
        with pytest.raises(nb.DTypeError, match=r"\[asarray\] NumPy's .*: nibble has no such dtype"):
            nb.asarray(other)


def test_arrays_live_as_long_as_tensors_over_them_and_no_longer():
    a = np.zeros(1000, np.float32)
    gone = weakref.ref(a)
    x = nb.asarray(a)
    y = x[10:]
    del a, x
    gc.collect()
    assert gone() is not None
    del y
    gc.collect()
    assert gone() is None


def test_tensors_live_as_long_as_arrays_over_them():
    x = nb.ones((1000, 1000))
    a = np.asarray(x)
    live = nb.stats()["bytes_allocated"]
    del x
    gc.collect()
    assert nb.stats()["bytes_allocated"] == live
    assert a.sum() == 1e6 and not a.flags.writeable
    del a
    gc.collect()
    assert nb.stats()["bytes_allocated"] <= live - 4_000_000


def test_array_protocol():
    x = nb.asarray(np.arange(3, dtype=np.float32))
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x).flags.writeable
    with pytest.raises(ValueError):
        np.asarray(x, dtype=np.float64, copy=False)
    with pytest.raises(ValueError):
        np.asarray(nb.quantize(np.ones((1, 64), np.float32)), copy=False)
    assert np.asarray(nb.astype(x, "bfloat16")).dtype == np.float32
