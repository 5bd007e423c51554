#include <fmt/format.h>

#include <new>
#include <optional>

#include "adapters/hosts/c/handles.h"
#include "nibble/error.h"

namespace nibble {
namespace hosts {

static_assert(NIBBLE_DEVICE_LOST == static_cast<int>(ErrorCode::device_lost) + 1);

void refuse(ErrorCode code, const std::string& text) { throw Error(code, text); }

namespace {

/// Where memory for an error is exhausted as well; never released.
nibble_error no_memory{NIBBLE_OUT_OF_MEMORY, "out of memory"};

nibble_status report(const nibble_context* context, nibble_error** error, nibble_status code,
                     const char* text) noexcept {
  if (context && context->logger.log) context->logger.log(context->logger.user, NIBBLE_LOG_ERROR, text);
  if (error) {
    try {
      *error = new nibble_error{code, text};
    } catch (const std::bad_alloc&) {
      *error = &no_memory;
    }
  }
  return code;
}

/// What the context asks for, on this thread, while it lives.
class InForce {
 public:
  explicit InForce(const nibble_context* context) : context_(context) {
    if (!context) return;
    options_.emplace(context->options);
    if (context->allocator) allocator_.emplace(context->allocator);
    if (context->logger.log) decoded_before_ = stats().bytes_dequantized;
  }

  void tell_what_was_decoded() const {
    if (!context_ || !context_->logger.log) return;
    const std::uint64_t bytes = stats().bytes_dequantized - decoded_before_;
    if (bytes == 0) return;
    const std::string text =
        fmt::format("a packed tensor was decoded: {} bytes in the process during this call", bytes);
    context_->logger.log(context_->logger.user, NIBBLE_LOG_WARNING, text.c_str());
  }

 private:
  const nibble_context* context_;
  std::optional<with> options_;
  std::optional<with_allocator> allocator_;
  std::uint64_t decoded_before_ = 0;
};

template <class T>
T choice(std::int32_t number, std::initializer_list<T> values, const char* name) {
  if (number < 0 || static_cast<std::size_t>(number) >= values.size()) {
    refuse(ErrorCode::invalid_argument,
           fmt::format("[nibble_context_options] {} {}: there is no such value", name, number));
  }
  return values.begin()[number];
}

Executor executor_of(const nibble_executor& host) {
  const auto run = required(host.run, "nibble_executor.run");
  return {[run, user = host.user](std::int64_t count, const std::function<void(std::int64_t)>& task) {
            const auto one = [](void* data, std::int64_t i) {
              (*static_cast<const std::function<void(std::int64_t)>*>(data))(i);
            };
            run(user, count, one, const_cast<std::function<void(std::int64_t)>*>(&task));
          },
          host.threads};
}

std::shared_ptr<const Allocator> allocator_of(const nibble_allocator& host) {
  const auto allocate = required(host.allocate, "nibble_allocator.allocate");
  const auto free = required(host.free, "nibble_allocator.free");
  return std::make_shared<Allocator>(
      Allocator{[=, user = host.user](std::size_t bytes, std::size_t align) { return allocate(user, bytes, align); },
                [=, user = host.user](void* data, std::size_t bytes) { free(user, data, bytes); }});
}

std::unique_ptr<nibble_context> make_context(const nibble_context_options& o) {
  auto context = std::make_unique<nibble_context>();
  Options& options = context->options;
  options.precision = choice(o.precision, {Precision::standard, Precision::exact, Precision::fast}, "precision");
  options.fallback = choice(o.fallback, {Fallback::allow, Fallback::error}, "fallback");
  options.transfer = choice(o.transfer, {Transfer::allow, Transfer::error}, "transfer");
  options.deterministic = o.deterministic != 0;
  if (o.device) options.device = Device::parse(o.device);
  if (o.executor) {
    context->executor = executor_of(sized(o.executor, "nibble_executor"));
    options.executor = &context->executor;
  }
  if (o.allocator) context->allocator = allocator_of(sized(o.allocator, "nibble_allocator"));
  if (o.logger) context->logger = sized(o.logger, "nibble_logger");
  const with usable(options);  // refuses what no operation could run under
  return context;
}

}  // namespace

nibble_status run_guarded(const nibble_context* context, nibble_error** error, void (*body)(void*),
                          void* data) noexcept {
  try {
    const InForce in_force(context);
    body(data);
    in_force.tell_what_was_decoded();
    return NIBBLE_OK;
  } catch (const Error& e) {
    return report(context, error, static_cast<nibble_status>(e.code()) + 1, e.what());
  } catch (const std::bad_alloc&) {
    return report(context, error, NIBBLE_OUT_OF_MEMORY, "[host] memory is exhausted");
  } catch (const std::exception& e) {
    return report(context, error, NIBBLE_UNEXPECTED, e.what());
  } catch (...) {
    return report(context, error, NIBBLE_UNEXPECTED, "[host] an unknown exception");
  }
}

void add_context(nibble_api& api) {
  api.error_code = [](const nibble_error* error) { return error ? error->code : NIBBLE_OK; };
  api.error_message = [](const nibble_error* error) { return error ? error->message.c_str() : ""; };
  api.error_release = [](nibble_error* error) {
    if (error != &no_memory) delete error;
  };
  api.context_create = [](const nibble_context_options* options, nibble_context** out, nibble_error** error) {
    return guarded(nullptr, error, [&] {
      const nibble_context_options given =
          options ? sized(options, "nibble_context_options") : nibble_context_options{};
      *required(out, "out") = make_context(given).release();
    });
  };
  api.context_release = [](nibble_context* context) { delete context; };
}

}  // namespace hosts
}  // namespace nibble
