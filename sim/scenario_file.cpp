#include "sim/scenario_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "sim/model_fields.h"
#include "sim/scenarios.h"

namespace ntp::sim {
namespace {

namespace fs = std::filesystem;

struct Raw {
  toml::table table{};
  std::string file{};
  std::string name{};
  std::string based_on{};
  bool varied = false;  // only those that vary it are scenarios
};

struct Building {
  WorldModel world{};
  MachineModel machine{};  // what all machines have in common
};

// The clock and the path that filter_accuracy has by that name.
void use(Reader& r, const std::string& condition, Building& b) {
  const auto found = std::ranges::find(scenarios(), condition, &Scenario::name);
  if (found == scenarios().end()) return r.complain(fmt::format("no \"{}\"", condition));
  b.world.link = found->link;
  b.machine.clock = found->oscillator;
}

void common_fields(Reader& r, Building& b) {
  WorldModel& w = b.world;
  w.known.clear();
  std::string ignored;
  r("name", ignored);
  r("what", w.what);
  r("known", w.known);
  r("based_on", ignored);
  r.expect("vary");
  std::string condition;
  r("condition", condition);
  if (!condition.empty()) use(r, condition, b);
  r("length_s", w.length_s);
  r("from_s", w.from_s);
  r("event_s", w.event_s);
  r("target_s", w.target_s);
  r("start", w.start);
  r("leap", w.leap);
  r("ipv6", w.ipv6);
  r("watch", w.watch);
  r("link", w.link);
  r("lies", w.lies);
  r("limits", w.limits);
  r("goals", w.goals);
  machine_fields(r, b.machine);
}

// The lists whose items start from what the whole chain of tables says.
class Lists {
 public:
  Lists(Building& b, const Raw& raw, Problems& problems) : b_(b), raw_(raw), problems_(problems) {}

  void servers() {
    if (const auto count = raw_.table["servers"].value<std::int64_t>()) {
      b_.world.servers.clear();
      for (int i = 1; i <= *count; ++i) b_.world.servers.push_back({.name = fmt::format("s{}", i)});
      return;
    }
    items("servers", b_.world.servers, ServerModel{}, [this](Reader& r, ServerModel& s) {
      r("name", s.name);
      r("stratum", s.stratum);
      r("root_delay_s", s.root_delay_s);
      r("root_dispersion_s", s.root_dispersion_s);
      LinkModel link = b_.world.link;
      r("link", link);
      s.link = link;
    });
  }
  void machines() {
    items("machines", b_.world.machines, b_.machine, [](Reader& r, MachineModel& m) {
      r("name", m.name);
      machine_fields(r, m);
    });
  }
  void pairs() {
    const PairModel pair{.link = b_.world.link};
    items("pairs", b_.world.pairs, pair, [](Reader& r, PairModel& p) {
      r("from", p.from);
      r("to", p.to);
      r("link", p.link);
      r("no_route", p.no_route);
    });
  }

 private:
  template <typename T, typename Read>
  void items(std::string_view key, std::vector<T>& out, const T& start, Read read) {
    const auto* list = raw_.table[key].as_array();
    if (list == nullptr) return;
    out.clear();
    for (const auto& item : *list) {
      const auto* table = item.as_table();
      if (table == nullptr) continue;
      Reader r(*table, raw_.file, problems_);
      read(r, out.emplace_back(start));
      r.end();
    }
  }

  Building& b_;
  const Raw& raw_;
  Problems& problems_;
};

class Loader {
 public:
  Problems problems{};

  void add(const std::string& text, const std::string& file) {
    toml::parse_result result = toml::parse(text, file);
    if (!result) {
      const auto& error = result.error();
      problems.push_back(
          fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
      return;
    }
    for (auto&& [key, node] : result.table()) {
      if (key.str() != "scenario" || !node.is_array_of_tables()) {
        problems.push_back(fmt::format("{}:{}: only [[scenario]] tables stand in a scenario file",
                                       file, key.source().begin.line));
        continue;
      }
      for (auto& item : *node.as_array()) take(std::move(*item.as_table()), file);
    }
  }

  std::vector<WorldModel> build() {
    std::vector<WorldModel> all;
    for (const Raw& raw : raws_) {
      if (!raw.varied) all.push_back(build(raw));
    }
    for (const WorldModel& world : all) {
      for (const Goal& goal : world.goals) {
        if (goal.of.empty() || goal.of == "chrony" || find(goal.of) != nullptr) continue;
        problems.push_back(
            fmt::format("{}: {}: no scenario \"{}\"", world.file, world.name, goal.of));
      }
      if (!world.limits.than.empty() && find(world.limits.than) == nullptr) {
        problems.push_back(
            fmt::format("{}: {}: no scenario \"{}\"", world.file, world.name, world.limits.than));
      }
    }
    return all;
  }

 private:
  void take(toml::table&& table, const std::string& file) {
    Raw raw{.file = file,
            .name = table["name"].value_or(std::string{}),
            .based_on = table["based_on"].value_or(std::string{})};
    const auto line = table.source().begin.line;
    if (raw.name.empty() || find(raw.name) != nullptr) {
      problems.push_back(fmt::format("{}:{}: a scenario needs a name of its own", file, line));
    }
    toml::array variants;
    if (auto* list = table["vary"].as_array()) variants = std::move(*list);
    raw.varied = !variants.empty();
    raw.table = std::move(table);
    raws_.push_back(std::move(raw));
    int number = 0;
    const std::string name = raws_.back().name;
    for (auto& item : variants) {
      if (!item.is_table()) continue;
      raws_.push_back({.table = std::move(*item.as_table()),
                       .file = file,
                       .name = fmt::format("{}-{}", name, ++number),
                       .based_on = name});
    }
  }

  const Raw* find(const std::string& name) const {
    const auto found = std::ranges::find(raws_, name, &Raw::name);
    return found == raws_.end() ? nullptr : &*found;
  }

  // The table and those that it is based on, the first of them first.
  std::vector<const Raw*> chain(const Raw& raw) {
    std::vector<const Raw*> tables{&raw};
    while (!tables.front()->based_on.empty()) {
      const Raw* base = find(tables.front()->based_on);
      if (base == nullptr || std::ranges::find(tables, base) != tables.end()) {
        complain(*tables.front(), "based_on names no other scenario");
        break;
      }
      tables.insert(tables.begin(), base);
    }
    return tables;
  }

  void complain(const Raw& raw, const std::string& what) {
    problems.push_back(
        fmt::format("{}:{}: {}: {}", raw.file, raw.table.source().begin.line, raw.name, what));
  }

  WorldModel build(const Raw& raw) {
    Building b;
    const auto tables = chain(raw);
    for (const Raw* each : tables) {
      Problems ignored;
      Reader r(each->table, each->file, each == &raw ? problems : ignored);
      common_fields(r, b);
      for (const auto* list : {"servers", "machines", "pairs"}) r.expect(list);
      r.end();
    }
    for (const Raw* each : tables) {
      Problems ignored;
      Lists lists(b, *each, each == &raw ? problems : ignored);
      lists.servers();
      lists.machines();
      lists.pairs();
    }
    b.world.file = raw.file;
    b.world.name = raw.name;
    if (b.world.machines.empty()) b.world.machines = {b.machine};
    check(raw, b.world);
    return b.world;
  }

  // Names that stand for nothing.
  void check(const Raw& raw, WorldModel& w) {
    std::set<std::string> servers;
    for (const ServerModel& server : w.servers) servers.insert(server.name);
    std::set<std::string> all = servers;
    for (const MachineModel& machine : w.machines) all.insert(machine.name);
    const auto need = [&](const std::set<std::string>& known, const std::string& name) {
      if (!known.contains(name)) complain(raw, fmt::format("there is no \"{}\"", name));
    };
    if (all.size() != w.servers.size() + w.machines.size()) complain(raw, "a name stands twice");
    if (w.what.empty()) complain(raw, "it does not say what it is about");
    for (MachineModel& machine : w.machines) {
      if (machine.ask.of.empty()) {
        for (const ServerModel& server : w.servers) machine.ask.of.push_back(server.name);
      }
      for (const auto& name : machine.ask.of) need(all, name);
      for (const Reload& reload : machine.reloads) {
        for (const auto& name : reload.of) need(all, name);
      }
    }
    for (const Lie& lie : w.lies) {
      for (const auto& name : lie.by) need(servers, name);
    }
    for (const PairModel& pair : w.pairs) need(all, pair.to);
    for (const auto& [name, verdict] : w.limits.verdicts) need(all, name);
    for (const Goal& goal : w.goals) {
      if (!goal.machine.empty()) need(all, goal.machine);
    }
    if (!w.watch.empty()) need(all, w.watch);
  }

  std::vector<Raw> raws_{};
};

std::expected<std::vector<WorldModel>, Problems> finish(Loader& loader) {
  auto all = loader.build();
  if (!loader.problems.empty()) return std::unexpected(std::move(loader.problems));
  return all;
}

}  // namespace

std::expected<std::vector<WorldModel>, std::vector<std::string>> parse_scenarios(
    const std::string& text, const std::string& file) {
  Loader loader;
  loader.add(text, file);
  return finish(loader);
}

std::expected<std::vector<WorldModel>, std::vector<std::string>> load_scenarios(
    const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  if (files.empty()) return std::unexpected(Problems{folder + ": no scenarios there"});
  std::ranges::sort(files);
  Loader loader;
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    loader.add(text.str(), file.string());
  }
  return finish(loader);
}

}  // namespace ntp::sim
