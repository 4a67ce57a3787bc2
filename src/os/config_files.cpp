#include "os/config_files.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

#include "os/text_file.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX wants it declared

namespace ntp::os {
namespace {

using config::FileText;
using config::Problem;
using config::Problems;

enum class Missing { is_fine, is_a_problem };

Problem failure(const std::string& path, const std::string& doing, int code) {
  Problem problem{.where = {.kind = config::Origin::Kind::file, .name = path},
                  .what = fmt::format("{}: {}", doing, std::generic_category().message(code)),
                  .no_permission = code == EACCES || code == EPERM};
  if (problem.no_permission) {
    problem.hint = fmt::format("make it readable for uid {}", ::geteuid());
  }
  return problem;
}

Problem refusal(const std::string& path, std::string what, std::string hint) {
  return {.where = {.kind = config::Origin::Kind::file, .name = path},
          .what = std::move(what),
          .hint = std::move(hint)};
}

Problem problem_of(const std::string& path, const Error& error, std::size_t most) {
  switch (error.code) {
    case EISDIR:
      return refusal(path, "is a directory",
                     "name a file; a mount of a missing file makes a directory");
    case EINVAL:
      return refusal(path, "is not a file", "a reload could not read it again");
    case EFBIG:
      return refusal(path, fmt::format("is larger than {} KiB", most / 1024),
                     "this is not a configuration of ntp-server");
    default:
      const bool opened = !error.doing.starts_with("open ");
      return failure(path, opened ? "cannot be read" : "cannot be opened", error.code);
  }
}

void read_file(const std::string& path, Missing missing, std::vector<FileText>& files,
               Problems& problems) {
  auto text = read_text_file(path, kLargestConfigFile);
  if (text) {
    files.push_back({.name = path, .text = std::move(*text)});
  } else if (text.error().code != ENOENT || missing == Missing::is_a_problem) {
    problems.push_back(problem_of(path, text.error(), kLargestConfigFile));
  }
}

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

std::vector<std::string> drop_ins(const std::string& folder, Problems& problems) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(folder.c_str()));
  if (!directory) {
    if (errno != ENOENT) problems.push_back(failure(folder, "cannot be opened", errno));
    return names;
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(".toml") && !name.starts_with('.')) names.emplace_back(name);
  }
  std::ranges::sort(names);
  if (names.size() > kMostDropIns) {
    problems.push_back(refusal(folder, fmt::format("has over {} drop-in files", kMostDropIns),
                               "this is not a directory of ntp-server's configuration"));
    names.clear();
  }
  return names;
}

}  // namespace

std::expected<std::vector<FileText>, Problems> read_config_files(
    const std::optional<std::string>& named) {
  std::vector<FileText> files;
  Problems problems;
  const std::string path = named.value_or(std::string(kDefaultConfigFile));
  read_file(path, named ? Missing::is_a_problem : Missing::is_fine, files, problems);

  const auto slash = path.rfind('/');
  const std::string folder =
      (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) + "conf.d";
  for (const auto& name : drop_ins(folder, problems)) {
    read_file(fmt::format("{}/{}", folder, name), Missing::is_a_problem, files, problems);
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return files;
}

std::expected<FileText, Problem> read_named_file(const std::string& path, std::size_t most) {
  auto text = read_text_file(path, most);
  if (!text) return std::unexpected(problem_of(path, text.error(), most));
  return FileText{.name = path, .text = std::move(*text)};
}

std::vector<std::pair<std::string, std::string>> environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace ntp::os
