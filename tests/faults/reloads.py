"""Reloads under load, half of them invalid: every question is answered, what is bad changes nothing and is told with its place."""
import os, re, signal, socket, subprocess, time

import campaign
from campaign import Row, percentile
from harness import Server, ask, until
from load import Load

BAD = (("[server]\nlisten = ['127.0.0.1:123']\npoll_minimum = 17\nnonsense = 1\n", r"ntp\.toml:4:1: unknown key"),
       ("[server]\nlisten = ['127.0.0.1:123'\n", r"ntp\.toml:\d+:\d+"),
       ("[server]\nlisten = ['127.0.0.1:123']\nstratum = 99\n", r"ntp\.toml:3:11"),
       ("server = 3\n", r"ntp\.toml:1"))


def good(poll):
    return f"[server]\nlisten = ['127.0.0.1:123']\nthreads = 2\npoll_minimum = {poll}\n"


def campaign_of(settings, program, name, runs, rate):
    random, wrong, took = settings.random("reloads"), [], []
    with campaign.folder() as folder:
        config = os.path.join(folder, "ntp.toml")
        campaign.write(config, good(4))
        with Server(program, "--config", config) as server:
            load = Load(rate)
            load.start()
            in_force = 4
            for number in range(runs):
                is_good = number % 2 == 0
                poll = random.randint(4, 12)
                text, pattern = (good(poll), "configuration reloaded") if is_good else random.choice(BAD)
                campaign.write(config, text)
                since, begun = len(server.lines), time.monotonic()
                server.process.send_signal(signal.SIGHUP)
                server.wait_line("configuration reloaded" if is_good else "stays in force", 20.0, since=since)
                took.append(time.monotonic() - begun)
                in_force = poll if is_good else in_force
                if not is_good and not any(re.search(pattern, line) for line in server.lines[since:]):
                    wrong.append(f"{number}: no {pattern} in {server.lines[since:]}")
                if number % 20 < 2:  # the thread of the worker reads its policy after each receive
                    reply = ask(timeout=5)
                    if reply is None or reply.poll != in_force or not campaign.right(reply, 5.0):
                        wrong.append(f"{number}: poll {reply and reply.poll} in a reply, {in_force} is in force")
                if number % 100 == 99:
                    del server.lines[:-50]
            lost = load.finish(3.0)
            code, seconds = server.stop(seconds=20)
    for text in wrong[:5]:
        settings.say("  MISSED " + text)
    fine = not wrong and lost == 0 and load.wrong == 0 and code == 0
    return Row.of(name, runs, "no question lost, none wrong, places told, exit 0",
                  f"{lost} of {load.sent:,} lost, {load.wrong + len(wrong)} wrong, p99 {percentile(took, 0.99) * 1e3:.0f} ms, exit {code} in {seconds:.2f} s", fine)


def run(settings):
    campaign.own_network()
    rows = [campaign_of(settings, settings.program, "reloads under load, half of them invalid", 10_000 if settings.long else 100, 1000)]
    if settings.long and settings.tsan:
        os.environ["TSAN_OPTIONS"] = "halt_on_error=0:exitcode=66"
        rows.append(campaign_of(settings, settings.tsan, "the same with the thread sanitizer", 10_000, 300))
    elif settings.long:
        rows.append(Row("the same with the thread sanitizer", 0, "no race", "no build/tsan/ntp-server", "MISSED"))
    return rows
