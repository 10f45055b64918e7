// SPDX-License-Identifier: MIT
//
// A second device of torch, for tests: its memory is the processor's, and the processor computes
// for it, but an operation that is given tensors of both devices is refused, as a GPU refuses it.
//
// Every operation without an entry of its own copies its arguments to the processor, computes there
// and copies the results back. Unlike a GPU, it computes in the processor's order of additions.

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace {

constexpr auto kind = c10::DeviceType::PrivateUse1;

struct Allocator final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
        void* data = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
        return {data, data, raw_deleter(), c10::Device(kind, 0)};
    }
    c10::DeleterFnPtr raw_deleter() const override {
        return [](void* data) { c10::GetDefaultCPUAllocator()->raw_deallocate(data); };
    }
    void copy_data(void* to, const void* from, size_t bytes) const override {
        default_copy_data(to, from, bytes);
    }
};
Allocator allocator;
REGISTER_ALLOCATOR(kind, &allocator);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<kind> {
    c10::Device exchangeDevice(c10::Device) const override { return {kind, 0}; }
    c10::Device getDevice() const override { return {kind, 0}; }
    c10::Stream getStream(c10::Device) const noexcept override {
        return c10::Stream(c10::Stream::DEFAULT, {kind, 0});
    }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return getStream({kind, 0}); }
    // nothing runs side by side
    void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
    void block(void*, const c10::Stream&) const override {}
    bool queryEvent(void*) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
};

using Dims = c10::IntArrayRef;
using Type = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Device = std::optional<at::Device>;

at::Tensor empty(c10::SymIntArrayRef size, Type type, Layout, Device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &allocator,
                                     c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(Dims size, Dims stride, Type type, Layout, Device, std::optional<bool>) {
    return at::detail::empty_strided_generic(size, stride, &allocator,
                                             c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                             c10::dtype_or_default(type));
}

// the same memory as a tensor of the processor
at::Tensor seen(const at::Tensor& t) {
    if (t.device().type() != kind) return t;
    void* data = t.numel() ? t.data_ptr() : nullptr;
    return at::from_blob(data, t.sizes(), t.strides(), [](void*) {},
                         t.options().device(at::kCPU), at::Device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
    seen(to).copy_(seen(from));
    return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
    to.resize_(from.sizes());
    return copy_from(from, to, false);
}

const at::Tensor& resize(const at::Tensor& t, c10::SymIntArrayRef symbolic,
                         std::optional<at::MemoryFormat> format) {
    auto size = C10_AS_INTARRAYREF_SLOW(symbolic);
    auto made = at::empty(size, t.options().memory_format(format));
    if (t.sizes() != size) {
        t.unsafeGetTensorImpl()->set_storage_keep_dtype(made.storage());
        t.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides());
    }
    return t;
}

at::Scalar item(const at::Tensor& t) { return seen(t).item(); }

void check(const c10::OperatorHandle& op, const at::Tensor& t) {
    // a number as a tensor goes with any device
    TORCH_CHECK(!t.defined() || t.dim() == 0 || t.device().type() == kind, op.schema().name(),
                ": a tensor of shape ", t.sizes(), " is on the processor, others are not");
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    for (auto& one : op.schema().returns()) {
        TORCH_CHECK(!one.alias_info() || one.alias_info()->isWrite(), op.schema().name(),
                    " is a view, which needs an entry");
    }
    auto count = op.schema().arguments().size();
    for (auto& one : torch::jit::last(*stack, count)) {
        if (one.isTensor()) check(op, one.toTensor());
        if (one.isTensorList())
            for (const at::Tensor& t : one.toTensorVector()) check(op, t);
        if (one.isOptionalTensorList())
            for (const std::optional<at::Tensor>& t : one.toOptionalTensorVector())
                if (t) check(op, *t);
    }
    at::native::cpu_fallback(op, stack);
}

at::Tensor view(const at::Tensor& t, c10::SymIntArrayRef size) {
    return at::native::view(t, C10_AS_INTARRAYREF_SLOW(size));
}

at::Tensor as_strided(const at::Tensor& t, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                      std::optional<c10::SymInt> offset) {
    auto first = offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt;
    return at::native::as_strided_tensorimpl(t, C10_AS_INTARRAYREF_SLOW(size),
                                             C10_AS_INTARRAYREF_SLOW(stride), first);
}

at::Tensor reshape_alias(const at::Tensor& t, c10::SymIntArrayRef size,
                         c10::SymIntArrayRef stride) {
    return as_strided(t, size, stride, t.sym_storage_offset());
}

at::Tensor& set_storage(at::Tensor& t, at::Storage storage) {
    int64_t size = storage.nbytes() / t.itemsize();
    return at::native::set_storage_cpu_(t, storage, 0, size, {});
}

at::Tensor& set_storage_part(at::Tensor& t, at::Storage storage, c10::SymInt first,
                             c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
    return at::native::set_storage_cpu_(t, storage, first.expect_int(),
                                        C10_AS_INTARRAYREF_SLOW(size),
                                        C10_AS_INTARRAYREF_SLOW(stride));
}

// torch has convolutions of its own for the devices that it knows
at::Tensor convolution(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& b,
                       Dims stride, Dims pad, Dims dilation, bool turned, Dims out, int64_t groups) {
    TORCH_CHECK(w.device() == x.device() && (!b || !b->defined() || b->device() == x.device()),
                "convolution: tensors of two devices");
    auto bias = b && b->defined() ? std::optional<at::Tensor>(seen(*b)) : std::nullopt;
    return at::convolution(seen(x), seen(w), bias, stride, pad, dilation, turned, out, groups)
        .to(x.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& w, Dims stride, Dims pad,
    Dims dilation, bool turned, Dims out, int64_t groups, std::array<bool, 3> wanted) {
    std::vector<int64_t> bias{w.size(turned ? 1 : 0)};
    auto [gx, gw, gb] =
        at::convolution_backward(seen(gradient), seen(x), seen(w), c10::IntArrayRef(bias), stride,
                                 pad, dilation, turned, out, groups, wanted);
    auto moved = [&](const at::Tensor& t) { return t.defined() ? t.to(x.device()) : t; };
    return {moved(gx), moved(gw), moved(gb)};
}

// its schema does not say that it writes the running mean and variance
std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm(
    const at::Tensor& x, const std::optional<at::Tensor>& weight,
    const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& mean,
    const std::optional<at::Tensor>& variance, bool training, double momentum, double eps) {
    auto own = [&](const std::optional<at::Tensor>& t) {
        if (!t || !t->defined()) return std::optional<at::Tensor>();
        TORCH_CHECK(t->device() == x.device(), "batch norm: tensors of two devices");
        return std::optional<at::Tensor>(seen(*t));
    };
    auto [y, saved_mean, saved_scale] =
        at::native_batch_norm(seen(x), own(weight), own(bias), own(mean), own(variance), training,
                              momentum, eps);
    return {y.to(x.device()), saved_mean.to(x.device()), saved_scale.to(x.device())};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
    m.impl("empty.memory_format", empty);
    m.impl("empty_strided", empty_strided);
    m.impl("_copy_from", copy_from);
    m.impl("_copy_from_and_resize", copy_from_and_resize);
    m.impl("resize_", resize);
    m.impl("_local_scalar_dense", item);
    m.impl("view", view);
    m.impl("as_strided", as_strided);
    m.impl("_reshape_alias", reshape_alias);
    m.impl("unfold", at::native::unfold);
    m.impl("set_.source_Storage", set_storage);
    m.impl("set_.source_Storage_storage_offset", set_storage_part);
    m.impl("native_batch_norm", batch_norm);
    m.impl("convolution_overrideable", convolution);
    m.impl("convolution_backward_overrideable", convolution_backward);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
    m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

const bool hooked = (at::RegisterPrivateUse1HooksInterface(new Hooks), true);

}  // namespace
