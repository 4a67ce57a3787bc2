// The only file that knows CLI11. Its exceptions end here.
#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "cli/help.h"
#include "config/options.h"
#include "config/source_fields.h"
#include "config/suggest.h"
#include "config/units.h"
#include "tls/authority.h"

namespace ntp::cli {
namespace {

using config::quote;
using namespace std::chrono_literals;

constexpr int kHealthcheckFailed = 1;  // Docker reserves 2
constexpr int kMostQueries = 1000;
constexpr int kMostHosts = 100;

constexpr const char* kExamples = R"(Examples:
  ntp-server                               serve on UDP port 123
  ntp-server --listen 192.0.2.1            serve on one address
  ntp-server run --config ./ntp.toml       serve by a configuration file
  ntp-server check                         check the configuration
  ntp-server ctl sources                   the running server's sources
  ntp-server query pool.ntp.org            ask another server for the time

Each setting may stand in the file, in the environment or in a flag. Flags win
over NTP_SERVER_<SECTION>_<KEY> in the environment, and that over the file;
`ntp-server config show --origin` prints the result. All settings, exit codes
and signals: ntp-server(8).)";
constexpr const char* kRunExamples = R"(Examples:
  ntp-server run --listen 0.0.0.0:123 --listen '[::]:123'
  ntp-server run --config ./ntp.toml --log-level debug)";
constexpr const char* kHealthcheckExamples =
    R"(Exits with 0 when healthy and 1 when not, and says why in one line.

Examples:
  ntp-server healthcheck                   is it alive and has it served time?
  ntp-server healthcheck --max-error 50ms  and is its time that good?)";
constexpr const char* kCtlExamples =
    R"(Asks over the server's health socket, which root and the server's own user may
use. Nothing can be changed by it. waitsync exits with 0 once the time is
synchronised, and with 1 when --timeout ends first.

Examples:
  ntp-server ctl                           how is it?
  ntp-server ctl sources                   what do the sources say?
  ntp-server ctl tracking --json           for a program
  ntp-server ctl waitsync --max-error 5ms --timeout 120s)";
constexpr const char* kQueryExamples = R"(Examples:
  ntp-server query 127.0.0.1
  ntp-server query '[2001:db8::1]:123' --count 4
  ntp-server query time.example.net --json
  ntp-server query --nts time.example.net
  ntp-server query --nts --ca /etc/ntp-server/ca.crt 192.0.2.1:4460)";
constexpr const char* kCheckExamples =
    R"(Exits with 0 when the configuration is good, else with 78, or with 77 when a
file may not be read. Prints every problem that there is.

Examples:
  ntp-server check
  ntp-server check --config ./ntp.toml)";
constexpr const char* kShowExamples = R"(Examples:
  ntp-server config show
  ntp-server config show --origin --config ./ntp.toml)";

constexpr const char* kCaExamples =
    R"(For networks without an authority of their own. Clients need ca.crt; the server
needs server.crt and server.key; ca.key is needed only here, to issue again.)";
constexpr const char* kCaInitExamples =
    R"(Writes ca.crt, ca.key, server.crt and server.key; nothing where one of them is
there already.

Examples:
  ntp-server ca init time.lan 192.0.2.1
  ntp-server ca init --dir /etc/ntp-server/tls --name 'Example LAN' time.lan)";
constexpr const char* kCaIssueExamples =
    R"(Writes server.crt anew, by the authority in the directory, for the key in
server.key; both where there is no key yet. A running server takes it up.

Examples:
  ntp-server ca issue --dir /etc/ntp-server/tls time.lan 192.0.2.1)";

// A usage error on its way out of the parser.
struct Wrong {
  std::string message;
};

struct SettingFlag {
  const config::Option* setting;
  CLI::Option* option;
};

// One command that takes the configuration's flags.
struct Configured {
  CLI::App* app = nullptr;
  CLI::Option* config = nullptr;
  std::vector<SettingFlag> flags{};
};

CLI::Option* add_text(CLI::App& app, std::string name, std::string argument, std::string help) {
  auto* option = app.add_option(std::move(name));
  option->description(std::move(help));
  option->type_name(std::move(argument));
  option->allow_extra_args(false);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return option;
}

CLI::Option* add_config(CLI::App& app) {
  return add_text(app, "--config", "FILE",
                  "configuration file (default: /etc/ntp-server/ntp.toml, which may be missing); "
                  "conf.d/*.toml beside it is read after it");
}

Configured add_settings(CLI::App& app) {
  Configured configured{.app = &app, .config = add_config(app)};
  for (const auto& setting : config::options()) {
    if (setting.flag.empty()) continue;
    const std::string name(setting.flag);
    std::string help(setting.help);
    if (setting.argument.empty()) {
      auto* flag = app.add_flag(name);
      flag->description(help);
      flag->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      configured.flags.push_back({&setting, flag});
      continue;
    }
    help += fmt::format(" (default: {})", setting.fallback);
    if (setting.key == "server.listen") help += "; may be given several times";
    configured.flags.push_back(
        {&setting, add_text(app, name, std::string(setting.argument), help)});
  }
  const auto& source = config::source_fields().front().option;
  configured.flags.push_back(
      {&source, add_text(app, std::string(source.flag), std::string(source.argument),
                         "ask this server or pool for the time; may be given several times")});
  return configured;
}

std::optional<std::string> once(const CLI::Option& option) {
  if (option.count() == 0) return std::nullopt;
  if (option.count() > 1) throw Wrong{fmt::format("{} is given twice", option.get_name())};
  return option.results().front();
}

std::optional<std::string> config_file(const CLI::Option& option) {
  auto file = once(option);
  if (file && file->empty()) throw Wrong{"--config is empty; name a file, or leave it out"};
  return file;
}

std::optional<std::chrono::nanoseconds> duration(const CLI::Option& option,
                                                 std::chrono::nanoseconds least,
                                                 std::chrono::nanoseconds most) {
  const auto text = once(option);
  if (!text) return std::nullopt;
  const auto parsed = config::parse_duration(*text);
  if (!parsed && parsed.error() == config::DurationError::no_unit) {
    throw Wrong{
        fmt::format("{} is {}, a number without a unit; write the unit: \"100ms\", \"1.5s\"",
                    option.get_name(), quote(*text))};
  }
  if (!parsed || *parsed < least || *parsed > most) {
    throw Wrong{fmt::format("{} is {}; it must be a duration from {} to {}", option.get_name(),
                            quote(*text), config::show_duration(least),
                            config::show_duration(most))};
  }
  return *parsed;
}

class Parser {
 public:
  Parser();
  std::expected<CommandLine, UsageError> parse(std::vector<std::string> arguments);

 private:
  CLI::App& add_command(CLI::App& parent, const char* name, const char* help, const char* examples);
  const CLI::App& innermost() const;
  std::string path_of(const CLI::App& app) const;
  std::string unexpected_words() const;
  Help help() const;
  UsageError usage(std::string message) const;
  CommandLine collect() const;
  void collect_settings(CommandLine& line) const;
  void collect_healthcheck(CommandLine& line) const;
  void collect_ctl(CommandLine& line) const;
  void add_query();
  void collect_query(CommandLine& line) const;
  void add_ca();
  void collect_ca(const CLI::App& app, CommandLine& line) const;

  CLI::App root_{"An NTP server: serves the time of the host's clock, and says how good it is.",
                 "ntp-server"};
  std::vector<Configured> configured_{};  // root's first
  CLI::App* healthcheck_ = nullptr;
  CLI::App* ctl_ = nullptr;
  CLI::App* query_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* config_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* version_ = nullptr;
  CLI::App* ca_ = nullptr;
  // Of ca init and of ca issue.
  struct CaWords {
    CLI::App* app = nullptr;
    CLI::Option* directory = nullptr;
    CLI::Option* name = nullptr;
    CLI::Option* hosts = nullptr;
  };
  std::array<CaWords, 2> ca_words_{};
  CLI::Option* healthcheck_config_ = nullptr;
  CLI::Option* ctl_config_ = nullptr;
  CLI::Option* ctl_json_ = nullptr;
  CLI::Option* ctl_max_error_ = nullptr;
  CLI::Option* ctl_socket_ = nullptr;
  CLI::Option* ctl_timeout_ = nullptr;
  CLI::Option* topic_ = nullptr;
  CLI::Option* max_error_ = nullptr;
  CLI::Option* socket_ = nullptr;
  CLI::Option* healthcheck_timeout_ = nullptr;
  CLI::Option* host_ = nullptr;
  CLI::Option* count_ = nullptr;
  CLI::Option* json_ = nullptr;
  CLI::Option* query_timeout_ = nullptr;
  CLI::Option* nts_ = nullptr;
  CLI::Option* query_ca_ = nullptr;
  CLI::Option* origin_ = nullptr;
  CLI::Option* version_flag_ = nullptr;
};

CLI::App& Parser::add_command(CLI::App& parent, const char* name, const char* help,
                              const char* examples) {
  auto& app = *parent.add_subcommand(name, help);
  app.footer(examples);
  app.set_help_flag("-h,--help", "print this help");
  return app;
}

Parser::Parser() {
  root_.footer(kExamples);
  root_.set_help_flag("-h,--help", "print this help");
  root_.require_subcommand(0, 1);
  configured_.push_back(add_settings(root_));
  version_flag_ = root_.add_flag("--version");
  version_flag_->description("print the version");

  auto& run =
      add_command(root_, "run", "Serve time until told to stop (the default)", kRunExamples);
  configured_.push_back(add_settings(run));

  healthcheck_ =
      &add_command(root_, "healthcheck", "Ask the server of this container or machine how it is",
                   kHealthcheckExamples);
  max_error_ = add_text(*healthcheck_, "--max-error", "DURATION",
                        "also demand synchronised time with an error bound of at most this");
  healthcheck_timeout_ = add_text(*healthcheck_, "--timeout", "DURATION",
                                  "how long to wait for the answer (default: 2s)");
  socket_ = add_text(*healthcheck_, "--socket", "PATH",
                     "the server's health socket (default: the setting health.socket)");
  healthcheck_config_ = add_config(*healthcheck_);

  ctl_ = &add_command(root_, "ctl", "Look into the running server of this container or machine",
                      kCtlExamples);
  topic_ = add_text(*ctl_, "TOPIC", "TOPIC",
                    fmt::format("{} (default: status)", fmt::join(kTopicNames, ", ")));
  ctl_json_ = ctl_->add_flag("--json");
  ctl_json_->description("print one JSON document");
  ctl_max_error_ = add_text(*ctl_, "--max-error", "DURATION",
                            "of waitsync: also wait for an error bound of at most this");
  ctl_timeout_ =
      add_text(*ctl_, "--timeout", "DURATION", "of waitsync: how long to wait (default: 60s)");
  ctl_socket_ = add_text(*ctl_, "--socket", "PATH",
                         "the server's health socket (default: the setting health.socket)");
  ctl_config_ = add_config(*ctl_);

  add_query();

  check_ = &add_command(root_, "check", "Say what is wrong with the configuration", kCheckExamples);
  configured_.push_back(add_settings(*check_));
  config_ = &add_command(root_, "config", "Show the configuration", kShowExamples);
  config_->require_subcommand(0, 1);
  show_ = &add_command(*config_, "show", "Print the configuration in force as TOML", kShowExamples);
  configured_.push_back(add_settings(*show_));
  origin_ = show_->add_flag("--origin");
  origin_->description("say of each value where it is from");
  add_ca();
  version_ = &add_command(root_, "version", "Print the version", "");
}

void Parser::add_ca() {
  ca_ =
      &add_command(root_, "ca", "Make certificates for NTS in a network of one's own", kCaExamples);
  ca_->require_subcommand(0, 1);
  auto& [init, issue] = ca_words_;
  init.app = &add_command(*ca_, "init", "Make an authority, and a certificate for this server",
                          kCaInitExamples);
  issue.app =
      &add_command(*ca_, "issue", "Make a new certificate for this server", kCaIssueExamples);
  for (CaWords* words : {&init, &issue}) {
    words->hosts = add_text(*words->app, "HOST", "HOST...",
                            "names and addresses by which clients ask for the server");
    words->hosts->required();
    words->hosts->expected(1, kMostHosts);
    words->hosts->allow_extra_args(true);
    words->directory =
        add_text(*words->app, "--dir", "DIR", "where the files are (default: this directory)");
  }
  init.name = add_text(*init.app, "--name", "NAME",
                       "of the authority, for people (default: ntp-server LAN authority)");
}

const CLI::App& Parser::innermost() const {
  const CLI::App* app = &root_;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().back();
  return *app;
}

std::string Parser::path_of(const CLI::App& app) const {
  const auto* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : path_of(*parent) + " " + app.get_name();
}

UsageError Parser::usage(std::string message) const {
  const auto& app = innermost();
  return {.message = std::move(message),
          .command = path_of(app),
          .exit_code = &app == healthcheck_ ? kHealthcheckFailed : config::kExitUsage};
}

std::string Parser::unexpected_words() const {
  const auto& app = innermost();
  std::string word = root_.remaining(true).front();
  std::vector<std::string> names;
  const bool flag = word.starts_with('-');
  if (flag) {
    word = word.substr(0, word.find('='));
    for (const auto* option : app.get_options({})) {
      if (!option->get_positional()) names.push_back(option->get_name());
    }
  } else {
    for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
    names.emplace_back("--help");  // "help"
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::string message = fmt::format("{} {}",
                                    flag                              ? "unknown option"
                                    : app.get_subcommands({}).empty() ? "unexpected argument"
                                                                      : "unknown command",
                                    quote(word));
  const std::string hint = config::did_you_mean(word, known);
  return hint.empty() ? message : message + "; " + hint;
}

Help Parser::help() const {
  const auto& app = innermost();
  Help help{.about = app.get_description(), .footer = app.get_footer()};
  HelpSection arguments{.title = "Arguments"};
  HelpSection options{.title = "Options"};
  HelpSection commands{.title = "Commands"};
  std::string usage = path_of(app) + " [OPTIONS]";
  for (const auto* option : app.get_options({})) {
    const std::string type = option->get_type_name();
    if (option->get_positional()) {
      usage += ' ' + type;
      arguments.rows.push_back({type, option->get_description()});
      continue;
    }
    std::string left = option == app.get_help_ptr() ? "-h, --help" : option->get_name();
    if (option->get_items_expected_max() > 0) left += ' ' + type;
    options.rows.push_back({std::move(left), option->get_description()});
  }
  for (const auto* command : app.get_subcommands({})) {
    std::string about = command->get_description();
    about.replace(0, 1, config::lower_case(about.substr(0, 1)));
    commands.rows.push_back({command->get_name(), std::move(about)});
  }
  help.usage.push_back(std::move(usage));
  if (!commands.rows.empty()) help.usage.push_back(path_of(app) + " COMMAND [OPTIONS]");
  help.sections = {std::move(arguments), std::move(commands), std::move(options)};
  return help;
}

void Parser::collect_settings(CommandLine& line) const {
  const auto& app = innermost();
  for (const auto& from : configured_) {
    if (const auto file = config_file(*from.config)) {
      if (line.config) throw Wrong{"--config is given twice"};
      line.config = file;
    }
    for (const auto& [setting, option] : from.flags) {
      if (option->count() == 0) continue;
      const bool meant = std::ranges::any_of(
          configured_, [&app](const Configured& configured) { return configured.app == &app; });
      if (!meant) throw Wrong{fmt::format("{} means nothing to {}", setting->flag, app.get_name())};
      for (const auto& value : option->results()) {
        line.flags.push_back(
            {.key = std::string(setting->key), .value = value, .flag = std::string(setting->flag)});
      }
    }
  }
}

void Parser::collect_healthcheck(CommandLine& line) const {
  auto& options = line.healthcheck;
  options.max_error = duration(*max_error_, 1us, 16s);
  options.timeout = duration(*healthcheck_timeout_, 1ms, 60s).value_or(options.timeout);
  options.server.socket = once(*socket_).value_or("");
  if (const auto file = config_file(*healthcheck_config_)) line.config = file;
}

void Parser::collect_ctl(CommandLine& line) const {
  auto& options = line.ctl;
  if (topic_->count() > 1)
    throw Wrong{fmt::format("unexpected argument {}", quote(topic_->results()[1]))};
  if (topic_->count() == 1) {
    const std::string& word = topic_->results().front();
    const auto known = std::ranges::find(kTopicNames, word);
    if (known == kTopicNames.end()) {
      const std::vector<std::string_view> names(kTopicNames.begin(), kTopicNames.end());
      const std::string hint = config::did_you_mean(word, names);
      throw Wrong{
          fmt::format("unknown topic {}; {}", quote(word),
                      hint.empty() ? fmt::format("one of {}", fmt::join(names, ", ")) : hint)};
    }
    options.topic = static_cast<Topic>(known - kTopicNames.begin());
  }
  options.json = ctl_json_->count() > 0;
  options.server.socket = once(*ctl_socket_).value_or("");
  options.max_error = duration(*ctl_max_error_, 1us, 16s);
  if (options.topic != Topic::waitsync && ctl_max_error_->count() + ctl_timeout_->count() > 0) {
    throw Wrong{"--max-error and --timeout are for waitsync only"};
  }
  options.timeout = duration(*ctl_timeout_, 0s, 24h).value_or(options.timeout);
  if (const auto file = config_file(*ctl_config_)) line.config = file;
}

void Parser::add_query() {
  query_ = &add_command(root_, "query", "Ask a server for the time; sets nothing", kQueryExamples);
  host_ =
      add_text(*query_, "HOST", "HOST[:PORT]", "name or address, port 123 where none is written");
  host_->required();
  count_ = add_text(*query_, "--count", "N", "how many questions, a second apart (default: 1)");
  json_ = query_->add_flag("--json");
  json_->description("print one JSON document with every answer");
  nts_ = query_->add_flag("--nts");
  nts_->description(
      "establish keys first (NTS) and believe nothing else; PORT is then that of key "
      "establishment, 4460 where none is written");
  query_ca_ = add_text(*query_, "--ca", "FILE",
                       "with --nts: authorities to believe (default: those of the system)");
  query_timeout_ =
      add_text(*query_, "--timeout", "DURATION", "how long to wait for each answer (default: 2s)");
}

void Parser::collect_query(CommandLine& line) const {
  auto& options = line.query;
  if (host_->count() > 1)
    throw Wrong{fmt::format("unexpected argument {}", quote(host_->results()[1]))};
  options.host = host_->results().front();
  if (options.host.empty()) throw Wrong{"HOST is empty"};
  options.json = json_->count() > 0;
  options.nts = nts_->count() > 0;
  options.ca = once(*query_ca_).value_or("");
  if (!options.nts && query_ca_->count() > 0) throw Wrong{"--ca means nothing without --nts"};
  options.timeout = duration(*query_timeout_, 1ms, 60s).value_or(options.timeout);
  if (const auto text = once(*count_)) {
    const auto count = config::parse_integer(*text);
    if (!count || *count < 1 || *count > kMostQueries) {
      throw Wrong{fmt::format("--count is {}; it must be a whole number from 1 to {}", quote(*text),
                              kMostQueries)};
    }
    options.count = static_cast<int>(*count);
  }
}

void Parser::collect_ca(const CLI::App& app, CommandLine& line) const {
  const auto& words = ca_words_[&app == ca_words_[0].app ? 0 : 1];
  auto& options = line.ca;
  options.is_new = &words == ca_words_.data();
  options.directory = once(*words.directory).value_or(options.directory);
  if (words.name != nullptr) options.name = once(*words.name).value_or(options.name);
  if (options.name.empty() || options.name.size() > 64) {
    throw Wrong{"--name must have 1 to 64 octets"};
  }
  for (const std::string& host : words.hosts->results()) {
    if (!tls::is_host(host)) {
      throw Wrong{fmt::format("{} is neither a host name nor an address", quote(host))};
    }
    options.hosts.push_back(host);
  }
}

CommandLine Parser::collect() const {
  const auto& app = innermost();
  CommandLine line;
  if (version_flag_->count() > 0 || &app == version_) {
    line.command = Command::version;
    return line;
  }
  if (&app == config_) throw Wrong{"config needs to be told what to do: config show"};
  if (&app == ca_) throw Wrong{"ca needs to be told what to do: ca init, ca issue"};
  collect_settings(line);
  if (line.config && app.get_parent() == ca_) throw Wrong{"--config means nothing to ca"};
  if (&app == query_ && line.config) throw Wrong{"--config means nothing to query"};
  if (&app == healthcheck_) {
    line.command = Command::healthcheck;
    collect_healthcheck(line);
  } else if (&app == ctl_) {
    line.command = Command::ctl;
    collect_ctl(line);
  } else if (&app == query_) {
    line.command = Command::query;
    collect_query(line);
  } else if (&app == check_) {
    line.command = Command::check;
  } else if (app.get_parent() == ca_) {
    line.command = Command::ca;
    collect_ca(app, line);
  } else if (&app == show_) {
    line.command = Command::config_show;
    line.origins = origin_->count() > 0;
  }
  return line;
}

std::expected<CommandLine, UsageError> Parser::parse(std::vector<std::string> arguments) {
  std::ranges::reverse(arguments);  // CLI11 takes them from the back
  try {
    root_.parse(std::move(arguments));
    return collect();
  } catch (const Wrong& wrong) {
    return std::unexpected(usage(wrong.message));
  } catch (const CLI::CallForHelp&) {
    return CommandLine{.command = Command::help, .help = to_string(help())};
  } catch (const CLI::ExtrasError&) {
    return std::unexpected(usage(unexpected_words()));
  } catch (const CLI::RequiredError&) {
    return std::unexpected(usage("HOST is missing"));
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string text = error.what();
    return std::unexpected(usage(text.substr(0, text.find(':')) + " needs a value"));
  } catch (const CLI::ParseError& error) {
    return std::unexpected(usage(error.what()));
  }
}

}  // namespace

std::expected<CommandLine, UsageError> parse_command_line(std::vector<std::string> arguments) {
  return Parser().parse(std::move(arguments));
}

}  // namespace ntp::cli
