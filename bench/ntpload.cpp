// ntpload: asks an NTP server as fast as it answers (closed loop) or at a given rate (open loop),
// checks every answer, and says how many there were and how long they took.
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "load.h"
#include "port.h"

namespace {

using namespace ntp::bench;

struct Arguments {
  PortOptions port{};
  LoadOptions load{};
  DialogueOptions dialogue{};
  std::string transport = "udp";
  bool json = false;
};

void declare(CLI::App& app, Arguments& to) {
  app.add_option("server", to.port.server, "numeric address of the server")->required();
  app.add_option("--port", to.port.port, "UDP port")->capture_default_str();
  app.add_option("--ntp-version", to.dialogue.version, "version to ask with")
      ->check(CLI::Range(1, 4));
  app.add_option("--source", to.port.source,
                 "first of the clients' addresses (the rest follow it)");
  app.add_option("--clients", to.port.clients, "distinct client addresses")
      ->check(CLI::Range(1u, 100'000'000u))
      ->capture_default_str();
  app.add_option("--outstanding", to.load.outstanding, "closed loop: requests under way")
      ->check(CLI::Range(1u, 65536u))
      ->capture_default_str();
  app.add_option("--rate", to.load.rate, "open loop: requests a second (0: closed loop)");
  app.add_option("--warm-up", to.load.warm_up_s, "seconds before counting")->capture_default_str();
  app.add_option("--duration", to.load.duration_s, "seconds of counting")->capture_default_str();
  app.add_option("--lost-after", to.load.lost_after_s, "seconds until a request counts as lost")
      ->capture_default_str();
  app.add_flag("--patient", to.load.patient, "sleep between requests instead of spinning");
  app.add_option("--transport", to.transport, "udp, or packet (frames; needs CAP_NET_RAW)")
      ->check(CLI::IsMember({"udp", "packet"}));
  app.add_option("--interface", to.port.interface, "packet: device to send from");
  app.add_option("--to-mac", to.port.next_hop_mac, "packet: MAC address of the server or gateway");
  app.add_option("--from-mac", to.port.source_mac, "packet: MAC address that the replies go to");
  app.add_flag("--any-leap", to.dialogue.any_leap, "accept replies of an unsynchronised server");
  app.add_option("--key", to.dialogue.key,
                 "ask with the MAC of this key, a line of chrony's key file: 'ID TYPE KEY'");
  app.add_option("--nts", to.dialogue.nts, "ask with NTS; a file that nts_session has written");
  app.add_option("--placeholders", to.dialogue.placeholders, "NTS: further cookies to ask for")
      ->check(CLI::Range(0u, 12u));
  app.add_flag("--forged", to.dialogue.forged, "NTS: with random octets instead of cookies");
  app.add_flag("--json", to.json, "one JSON object instead of text");
}

// CPU time of this whole process: what the loop did not get of its wall time, others took.
double own_cpu_s() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

nlohmann::ordered_json as_json(const Arguments& arguments, const LoadResult& result) {
  const auto us = [&](double share) {
    return static_cast<double>(result.latency.quantile(share)) / 1e3;
  };
  nlohmann::ordered_json faults = nlohmann::ordered_json::object();
  for (std::size_t i = 1; i < kFaults; ++i) {
    if (result.all_faults[i] > 0) faults[std::string(kFaultNames[i])] = result.all_faults[i];
  }
  return {{"mode", arguments.load.rate > 0 ? "open" : "closed"},
          {"transport", arguments.transport},
          {"clients", arguments.load.clients},
          {"target_rate", arguments.load.rate},
          {"outstanding", arguments.load.outstanding},
          {"duration_s", result.duration_s},
          {"rate", result.rate()},
          {"sent", result.sent},
          {"replies", result.replies},
          {"all_replies", result.all_replies},
          {"lost", result.lost},
          {"loss", result.loss()},
          {"refused", result.refused},
          {"late", result.late},
          {"faults", faults},
          {"cpu_s", own_cpu_s()},
          {"latency_us",
           {{"mean", result.latency.mean() / 1e3},
            {"p50", us(0.5)},
            {"p90", us(0.9)},
            {"p99", us(0.99)},
            {"p99.9", us(0.999)},
            {"max", static_cast<double>(result.latency.largest()) / 1e3}}}};
}

void print_text(const nlohmann::ordered_json& result) {
  const auto& latency = result["latency_us"];
  std::printf("%.0f replies/s, %.3f %% lost, faults %s\n", result["rate"].get<double>(),
              result["loss"].get<double>() * 100, result["faults"].dump().c_str());
  std::printf("latency us: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
              latency["p50"].get<double>(), latency["p90"].get<double>(),
              latency["p99"].get<double>(), latency["p99.9"].get<double>(),
              latency["max"].get<double>());
}

}  // namespace

// Exit codes: 0 every answer was right, 1 none or a wrong one, 2 usage, 77 the port cannot be had.
int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Load generator for NTP servers");
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.load.clients = arguments.port.clients;
  arguments.dialogue.slots = slots_of(arguments.load);
  const auto dialogue = make_dialogue(arguments.dialogue);
  if (!dialogue) {
    std::fprintf(stderr, "ntpload: %s\n", dialogue.error().c_str());
    return 2;
  }
  arguments.port.request_size = (*dialogue)->request_size();
  auto port = arguments.transport == "packet" ? open_packet_port(arguments.port)
                                              : open_udp_port(arguments.port);
  if (!port) {
    std::fprintf(stderr, "ntpload: %s\n", port.error().c_str());
    return 77;
  }
  const auto result = std::make_unique<LoadResult>(run_load(**port, **dialogue, arguments.load));
  const auto report = as_json(arguments, *result);
  if (arguments.json) {
    std::printf("%s\n", report.dump().c_str());
  } else {
    print_text(report);
  }
  return result->replies > 0 && result->faults() == 0 ? 0 : 1;
}
