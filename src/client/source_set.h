// All sources of the configuration as one machine. The shell drives it:
//
//   on_timer(now)          when next_deadline() has come
//   take_transmits()       send each from a fresh socket; then on_sent() or on_send_failed()
//   take_resolutions()     look each name up, somewhere where it blocks nobody; then on_resolved()
//   on_datagram()          what a socket received; close the socket once is_open() says no
//   take_establishments()  keys that are to be established; then on_established()
//   take_events()          lines for the log
//
// Selection and discipline tell it what they found: set_poll(), set_falseticker().
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/source.h"

namespace ntp::client {

struct Outgoing {
  AssociationId association = 0;
  Transmit transmit{};
};

struct Resolve {
  SourceId source = 0;
  std::string name{};
};

// An address in use, with what the selection needs to know of its source.
struct ActiveAssociation {
  AssociationId id = 0;
  SourceId source = 0;
  Endpoint address{};
  bool prefer = false;
  bool trust = false;
  bool noselect = false;
  bool require = false;
  std::uint8_t reach = 0;
  int poll = 0;                     // log2 s, in force
  std::optional<Reject> refused{};  // why the last answer was none
};

// `refused`: it answers, but not so that the answers could be used.
// `keyless`: there are no keys yet that it could be asked with.
enum class Standing : std::uint8_t {
  starting,
  reachable,
  refused,
  keyless,
  unreachable,
  offline,
  denied
};
std::string_view describe(Standing standing) noexcept;

struct AssociationReport {
  AssociationId id = 0;
  Endpoint address{};
  Standing standing = Standing::starting;
  std::uint8_t reach = 0;
  int poll = 0;  // log2 s, in force
  int poll_floor = kLeastPoll;
  std::optional<clock::Sample> sample{};
  RejectCounts rejects{};
  std::optional<Reject> refused{};  // why the last answer was none; empty when it was good
  std::string kiss{};               // the last code, or empty
  std::optional<RawTime> next_question{};
  std::uint64_t questions = 0;
  std::uint64_t samples = 0;
  bool falseticker = false;
  IpAddress resolved{};            // of the name; with NTS another one may be asked
  std::optional<NtsReport> nts{};  // empty: without NTS
};

struct SourceReport {
  SourceId id = 0;
  SourceOptions options{};
  std::string_view standing{};  // in words
  std::size_t known_addresses = 0;
  int resolve_failures = 0;
  std::optional<RawTime> next_resolution{};
  std::vector<AssociationReport> associations{};
};

// Where a server that serves `listen` is itself: `local` are its interfaces' addresses. Who serves
// all addresses does so at every loopback address, too, which stays as the unspecified one.
std::vector<Endpoint> own_addresses(std::span<const Endpoint> listen,
                                    std::span<const IpAddress> local);

class SourceSet {
 public:
  // Sources that stay, by host, port and mode, keep their associations and what they know.
  void configure(const std::vector<SourceOptions>& options, RawTime now, RandomSource& random);
  // This server's: never asked, and a server that names one as its reference is synchronised to
  // us.
  void set_own(std::vector<Endpoint> served);
  void set_keys(SourceKeys keys);
  // For sources that are added later; and what is to be kept for the next run.
  void recall(std::vector<SavedNts> saved) { saved_ = std::move(saved); }
  std::vector<SavedNts> remember() const;

  void on_timer(RawTime now, RandomSource& random);
  std::vector<Outgoing> take_transmits();
  std::vector<Resolve> take_resolutions();
  std::vector<Establish> take_establishments();
  std::vector<Event> take_events();
  std::optional<RawTime> next_deadline() const;

  void on_resolved(SourceId source, std::span<const IpAddress> addresses, RawTime now,
                   RandomSource& random);
  void on_resolve_failed(SourceId source, RawTime now, RandomSource& random);
  void on_established(AssociationId association, nts::Established established,
                      const std::optional<IpAddress>& server, RawTime now, RandomSource& random);
  void on_not_established(AssociationId association, nts::NotEstablished failure, RawTime now,
                          RandomSource& random);
  void on_sent(AssociationId association, RawTime t1);
  void on_send_failed(AssociationId association, SendError error, RawTime now,
                      RandomSource& random);
  // `own_refids` of the arrival is filled in here.
  std::expected<clock::Sample, Reject> on_datagram(AssociationId association, Arrival arrival);
  bool is_open(AssociationId association) const;  // a question still may be answered

  void set_poll(AssociationId association, int log2_s);
  void ask_soon(AssociationId association);
  // `why` is for the log.
  void set_falseticker(AssociationId association, bool falseticker, RawTime now,
                       std::string_view why = {});
  void retry_now(RawTime now);     // the network has changed
  void start_bursts(RawTime now);  // after a suspend

  bool empty() const { return sources_.empty(); }
  std::vector<ActiveAssociation> active() const;
  std::vector<SourceReport> report() const;

 private:
  template <typename Act>
  void with_source(SourceId id, RawTime now, RandomSource& random, Act act);
  std::vector<Endpoint> taken_by_others(const Source& source) const;
  Step step_for(std::span<const Endpoint> taken, RawTime now, RandomSource& random);
  Member* find(AssociationId id);
  SourceId source_of(AssociationId id) const;

  std::vector<Source> sources_{};
  std::vector<Endpoint> own_{};
  std::vector<std::uint32_t> own_refids_{};
  std::vector<Outgoing> transmits_{};
  std::vector<Resolve> resolutions_{};
  std::vector<Establish> establishments_{};
  SourceKeys keys_{};
  std::vector<SavedNts> saved_{};
  std::deque<Event> events_{};
  SourceId next_source_ = 1;
  AssociationId next_association_ = 1;
};

}  // namespace ntp::client
