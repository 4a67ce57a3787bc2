#include "client/nts_session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "crypto/random_stream.h"
#include "nts/ke_client.h"

namespace ntp::client {
namespace {

using std::chrono::nanoseconds;

constexpr double kJitter = 0.25;
// As a datagram of IPv6 that nobody on the way has to cut (RFC 8200 section 5).
constexpr std::size_t kLargestQuestion = 1232;

crypto::RandomStream stream(RandomSource& random) {
  crypto::RandomStream::Seed seed;
  for (std::size_t i = 0; i < seed.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t value = random.next();
    for (std::size_t k = 0; k < sizeof value; ++k) {
      seed[i + k] = static_cast<std::byte>(value >> (8 * k));
    }
  }
  return crypto::RandomStream(seed);
}

bool is_out_of_reach(nts::KeTrouble trouble) {
  return trouble == nts::KeTrouble::unreachable || trouble == nts::KeTrouble::too_slow ||
         trouble == nts::KeTrouble::lost || trouble == nts::KeTrouble::no_roots;
}

}  // namespace

nanoseconds NtsSession::pause() const noexcept {
  const bool unreachable = trouble_ && is_out_of_reach(trouble_->trouble);
  const nanoseconds longest = unreachable ? kLongestKePauseUnreachable : kLongestKePause;
  nanoseconds pause = kFirstKePause;
  for (int i = 1; i < attempts_ && pause < longest; ++i) pause *= 2;
  pause = std::min(pause, longest);
  return pause + nanoseconds(std::llround(static_cast<double>(pause.count()) * kJitter * jitter_));
}

std::optional<RawTime> NtsSession::next_establishment() const noexcept {
  if (!wanted_since_ || establishing_since_) return std::nullopt;
  return begun_ ? std::max(*wanted_since_, *begun_ + pause()) : *wanted_since_;
}

std::optional<RawTime> NtsSession::next_deadline() const noexcept {
  if (establishing_since_) return *establishing_since_ + kKeLimit;
  return next_establishment();
}

bool NtsSession::take_establishment(RawTime now, RandomSource& random) {
  if (establishing_since_ && now - *establishing_since_ >= kKeLimit) {
    on_failed({.trouble = nts::KeTrouble::lost, .why = "there was no outcome within a minute"},
              now);
  }
  const auto due = next_establishment();
  if (!due || now < *due) return false;
  establishing_since_ = now;
  begun_ = now;
  jitter_ = unit_fraction(random);
  ++attempts_;
  ++establishments_;
  return true;
}

void NtsSession::on_established(nts::Established established, RawTime now) {
  keys_ = established.keys;
  cookies_ = std::move(established.cookies);
  valid_until_ = established.valid_until;
  established_ = now;
  recalled_ = false;
  establishing_since_.reset();
  wanted_since_.reset();
  trouble_.reset();
  refused_ = false;
  answered_ = true;  // a question with the keys before is not waited for
}

void NtsSession::on_failed(nts::NotEstablished failure, RawTime) {
  establishing_since_.reset();
  ++troubles_[static_cast<std::size_t>(failure.trouble)];
  trouble_ = std::move(failure);
}

void NtsSession::recall(NtsMemory memory, RawTime now) {
  if (!memory.keys.is_usable() || memory.cookies.empty()) return;
  keys_ = memory.keys;
  cookies_ = std::move(memory.cookies);
  recalled_ = true;
  established_ = std::min(memory.established, now);
  wanted_since_.reset();
}

std::optional<NtsMemory> NtsSession::memory() const {
  if (!keys_ || cookies_.empty()) return std::nullopt;
  return NtsMemory{
      .keys = *keys_, .cookies = cookies_, .established = established_.value_or(RawTime{})};
}

std::vector<std::byte> NtsSession::write_question(const wire::Header& header, RawTime now,
                                                  RandomSource& random) {
  // Whether a NAK was true shows when nothing better came after it.
  if (refused_ && !answered_) want(now);
  if (established_ && now - *established_ >= kKeyLifetime) want(now);
  refused_ = false;
  answered_ = false;
  if (!keys_ || cookies_.empty()) {
    want(now);
    return {};
  }
  const nts::Cookie cookie = std::move(cookies_.front());
  cookies_.erase(cookies_.begin());
  crypto::RandomStream fresh = stream(random);
  fresh.fill(unique_id_);
  nts::NtsQuestion question{.header = header,
                            .unique_id = unique_id_,
                            .cookie = cookie,
                            .placeholders = nts::kCookiesKept - 1 - cookies_.size()};
  while (question.placeholders > 0 &&
         nts::question_size(question, keys_->aead) > kLargestQuestion) {
    --question.placeholders;
  }
  std::vector<std::byte> out(nts::question_size(question, keys_->aead));
  out.resize(nts::write_question(question, *keys_, fresh, out));
  return out;
}

std::expected<void, Reject> NtsSession::open(std::span<const std::byte> datagram) {
  if (!keys_ || answered_) return std::unexpected(Reject::unexpected);
  auto answer = nts::open_answer(datagram, unique_id_, *keys_);
  if (!answer) {
    switch (answer.error()) {
      case nts::AnswerReject::malformed:
        return std::unexpected(Reject::malformed);
      case nts::AnswerReject::not_ours:
        return std::unexpected(Reject::bogus);
      case nts::AnswerReject::nak:
        ++naks_;
        refused_ = true;
        return std::unexpected(Reject::nts_nak);
      case nts::AnswerReject::unauthenticated:
        break;
    }
    return std::unexpected(Reject::unauthenticated);
  }
  for (nts::Cookie& cookie : answer->cookies) {
    const bool usable = !cookie.empty() && cookie.size() <= nts::kMaxForeignCookie;
    if (usable && cookies_.size() < nts::kCookiesKept) cookies_.push_back(std::move(cookie));
  }
  answered_ = true;
  attempts_ = 0;
  wanted_since_.reset();
  return {};
}

NtsReport NtsSession::report() const {
  NtsReport report{.has_keys = keys_.has_value(),
                   .cookies = cookies_.size(),
                   .established = established_,
                   .recalled = recalled_,
                   .establishments = establishments_,
                   .naks = naks_,
                   .troubles = troubles_,
                   .trouble = trouble_,
                   .next_establishment = next_establishment(),
                   .valid_until = valid_until_};
  if (keys_) report.aead = keys_->aead;
  return report;
}

}  // namespace ntp::client
