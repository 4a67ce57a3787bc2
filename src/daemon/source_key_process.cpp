#include "daemon/source_key_process.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>

#include "crypto/checked_text.h"
#include "ke/sandbox.h"
#include "os/secret_file.h"
#include "tls/client_context.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::milliseconds kPatience{500};

ke::ClientPlan plan_of(const config::Settings& settings) {
  ke::ClientPlan plan{.sandbox = settings.server.sandbox};
  for (const client::SourceOptions& source : settings.sources) {
    if (!source.nts) continue;
    if (std::ranges::find(plan.roots, source.nts_ca) == plan.roots.end()) {
      plan.roots.push_back(source.nts_ca);
    }
    const auto port = static_cast<std::uint16_t>(source.nts_port);
    if (std::ranges::find(plan.ports, port) == plan.ports.end()) plan.ports.push_back(port);
  }
  return plan;
}

// Of the content, so that the same roots in a new file are the same roots. A file that changes
// afterwards keeps the mark until the next start, which then finds another and asks for new keys:
// it errs on that side only.
std::string mark_of(const std::string& roots) {
  const auto files = roots.empty() ? tls::system_root_files() : std::vector<std::string>{roots};
  for (const std::string& file : files) {
    const auto text = os::read_secret_file(file, tls::kLargestRootFile, os::Readers::anybody);
    if (text) return crypto::text_checksum(text->text);
  }
  return {};
}

}  // namespace

std::expected<void, StartFailure> SourceKeyProcess::start(const config::Settings& settings) {
  plan_ = plan_of(settings);
  if (plan_.roots.empty()) return {};
  for (const std::string& roots : plan_.roots) marks_.push_back(mark_of(roots));
  auto child = ke::start_process(plan_);
  if (!child) {
    return std::unexpected(StartFailure{child.error().text(), EX_OSERR, child.error().code});
  }
  child_ = std::move(*child);
  told_ = std::make_shared<control::KeProcess>();
  return {};
}

KeyChannel SourceKeyProcess::channel() const {
  return {.fd = child_.channel.get(), .roots = plan_.roots, .marks = marks_, .process = told_};
}

// What it may read and whom it may connect to was settled when it was started.
std::string SourceKeyProcess::why_not(const config::Settings& settings) const {
  const ke::ClientPlan next = plan_of(settings);
  if (!next.roots.empty() && !child_.channel) {
    return "no source had nts at the start, so there is no process that could establish keys";
  }
  for (const std::string& file : next.roots) {
    if (std::ranges::find(plan_.roots, file) != plan_.roots.end()) continue;
    return fmt::format(
        "nts_ca = \"{}\" was not there at the start: the process that establishes "
        "keys cannot read it",
        file);
  }
  for (const std::uint16_t port : next.ports) {
    if (std::ranges::find(plan_.ports, port) != plan_.ports.end()) continue;
    return fmt::format(
        "nts_port = {} was not there at the start: the process that establishes "
        "keys cannot connect to it",
        port);
  }
  return {};
}

os::Reach SourceKeyProcess::reach() const { return ke::reach_of(plan_); }

void SourceKeyProcess::stop() {
  ke::begin_stop(child_);
  ke::finish_stop(child_, kPatience);
}

}  // namespace ntp::daemon
