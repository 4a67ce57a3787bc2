// An NTP client as one machine: questions out, answers in, a served clock out of it. Pure: the
// shell owns the sockets, the resolver and the clocks; a simulator owns worlds full of these.
//
//   on_timer(now)      when next_deadline() has come: sources ask, the discipline decides
//   sources()          what to send and to look up, and lines for the log; see source_set.h
//   on_datagram(...)   an answer; a good one makes a sample, and the discipline decides anew
//   decision()         what to serve and why
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "client/source_set.h"
#include "clock/clock_filter.h"
#include "clock/discipline.h"

namespace ntp::client {

struct ClientSettings {
  std::vector<SourceOptions> sources{};
  clock::DisciplinePolicy policy{};
};

// One association with what the filter and the selection think of it.
struct Tracked {
  SourceId source = 0;
  AssociationReport association{};
  clock::Verdict verdict{};
  std::optional<clock::Estimate> estimate{};  // source - base, at the report's time
  double delay_s = 0;                         // best of the last samples
  double jitter_s = 0;                        // of a usual sample
  std::uint64_t steps = 0;
};

class Client {
 public:
  // The base timescale is `now`; `memory` is from an earlier run.
  Client(const clock::Moment& now, int precision, const clock::ClockFilter::Memory& memory = {});

  void configure(const ClientSettings& settings, RawTime now, RandomSource& random);
  void set_leap_table(std::optional<clock::LeapTable> table) { leaps_ = std::move(table); }

  void on_timer(const clock::Moment& now, RandomSource& random);
  RawTime next_deadline() const noexcept;
  std::optional<Reject> on_datagram(AssociationId from, std::span<const std::byte> datagram,
                                    const Endpoint& address, RawTime at, const clock::Moment& now);

  SourceSet& sources() noexcept { return sources_; }
  const SourceSet& sources() const noexcept { return sources_; }
  const clock::Decision& decision() const noexcept { return decision_; }
  const std::optional<clock::LeapTable>& leap_table() const noexcept { return leaps_; }
  std::vector<Tracked> tracked(RawTime now) const;
  // Of the clock as a whole, for the next start; empty while cold.
  std::optional<clock::ClockFilter::Memory> memory() const;

 private:
  void decide(const clock::Moment& now);
  std::vector<clock::Candidate> candidates(std::span<const ActiveAssociation> associations) const;
  clock::ClockFilter::Memory remembered(const clock::Moment& now) const noexcept;
  void adapt_poll(AssociationId id, RawTime now);

  SourceSet sources_{};
  clock::DisciplinePolicy policy_{};
  std::uint32_t orphan_id_ = 0;          // for good once drawn; 0: not yet
  clock::ClockFilter::Memory memory_{};  // as of `began_`
  clock::Moment began_{};
  std::optional<clock::LeapTable> leaps_{};
  clock::Discipline discipline_;
  clock::Decision decision_{};
  std::map<AssociationId, clock::ClockFilter> filters_{};
  RawTime decide_at_{};
};

}  // namespace ntp::client
