"""Debian's Prometheus against the real output: lint, rules and their tests, a real scrape, the dashboard, the documents.

usage: test_prometheus.py PROGRAM FAKE_KERNEL CACHE_FOLDER [unittest arguments]
"""
import glob, os, shutil, sys, unittest, urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from harness import *

PROGRAM = LIBRARY = PROMETHEUS = PROMTOOL = None
SKIPPED = 77
PACKAGING = os.path.join(ROOT, "packaging", "prometheus")
BOARD = os.path.join(ROOT, "packaging", "grafana", "ntp-server.json")


def provide(cache):
    """Paths of prometheus and promtool: installed ones, or unpacked from Debian's package; no service is installed."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return shutil.which("prometheus"), shutil.which("promtool")
    found = [os.path.join(cache, "usr", "bin", name) for name in ("prometheus", "promtool")]
    if not all(os.path.exists(path) for path in found):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            done = subprocess.run(["apt-get", "download", "-q", "prometheus"], cwd=folder, capture_output=True, text=True)
            packages = glob.glob(os.path.join(folder, "prometheus_*.deb"))
            if done.returncode != 0 or not packages:
                print("skipped: Debian's prometheus cannot be downloaded:", done.stderr.strip())
                sys.exit(SKIPPED)
            subprocess.run(["dpkg-deb", "-x", packages[0], cache], check=True)
    return found


def promtool(*arguments, text=None):
    return subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, cwd=PACKAGING)


def families(metrics):
    return set(re.findall(r"^# TYPE (\S+)", metrics, re.M))


def series_names(metrics):
    return set(re.findall(r"^([a-z][a-z0-9_]*)[{ ]", metrics, re.M))


def mentioned(text):
    """Names of our own metrics in an expression; recorded names (with colons) are not ours."""
    return set(re.findall(r"(?<![:\w])ntp_[a-z0-9_]+(?![:\w])", text))


class PrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kernel = FakeKernel(LIBRARY)
        cls.server = Server(PROGRAM, "run", environment=cls.kernel.environment())
        until(ask, what="an NTP reply")
        cls.metrics = cls.server.get("/metrics")[1]
        kernel = FakeKernel(LIBRARY)
        with Server(PROGRAM, "run", "--listen", "127.0.8.1", "--http", "127.0.0.1:9560", "--source", "127.0.8.2", "--threads", "0",
                    environment=kernel.environment()) as with_sources:
            cls.metrics_of_sources = with_sources.get("/metrics", port=9560)[1]
        cls.every_metric = cls.metrics + cls.metrics_of_sources

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_the_output_passes_promtools_lint(self):
        for metrics in (self.metrics, self.metrics_of_sources):
            done = promtool("check", "metrics", text=metrics)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        bad = promtool("check", "metrics", text="# TYPE x counter\nx 1\n")
        self.assertNotEqual(bad.returncode, 0, "the lint can fail")

    def test_rules_and_alerts_are_valid_and_pass_their_tests(self):
        done = promtool("check", "config", "prometheus.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = promtool("test", "rules", "tests.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_has_a_test_in_which_it_fires(self):
        with open(os.path.join(PACKAGING, "alerts.yml")) as alerts, open(os.path.join(PACKAGING, "tests.yml")) as tests:
            names = set(re.findall(r"- alert: (\w+)", alerts.read()))
            fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tests.read()))
        self.assertEqual(names, fired)

    def test_rules_and_alerts_use_metrics_that_exist(self):
        known = series_names(self.every_metric) | families(self.every_metric)
        for name in ("rules.yml", "alerts.yml", "tests.yml"):
            with open(os.path.join(PACKAGING, name)) as rules:
                used = mentioned(rules.read())
            self.assertEqual(used - known, set(), name)
            self.assertTrue(used)

    def test_the_dashboard_uses_metrics_that_exist(self):
        with open(BOARD) as file:
            board = json.load(file)
        known = series_names(self.every_metric)
        expressions = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
        self.assertGreater(len(expressions), 30)
        for expression in expressions:
            used = mentioned(expression)
            self.assertTrue(used, expression)
            self.assertEqual(used - known, set(), expression)
        for variable in board["templating"]["list"]:
            self.assertEqual(mentioned(str(variable["query"])) - known, set())

    def test_the_dashboards_expressions_are_promql(self):
        with open(BOARD) as file:
            board = json.load(file)
        rules = []
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                expression = (target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*"))
                self.assertNotIn("$", expression)
                rules.append({"record": f"panel{panel['id']}:{target['refId'].lower()}", "expr": expression})
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
            file.flush()
            done = promtool("check", "rules", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_dashboards_panels_do_not_collide(self):
        with open(BOARD) as file:
            board = json.load(file)
        panels = board["panels"]
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        taken = {}
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
                self.assertIsNone(taken.setdefault(cell, None), f"{panel['title']} over {taken[cell]}")
                taken[cell] = panel["title"]

    def test_the_document_lists_every_metric(self):
        with open(os.path.join(ROOT, "docs", "operate", "metrics.md")) as file:
            documented = dict(re.findall(r"^\| `([a-z0-9_]+)(?:\{[\w,]+\})?` \| (\w+) \|", file.read(), re.M))
        written = dict(re.findall(r"^# TYPE (\S+) (\S+)", self.every_metric, re.M))
        # Nobody steers here, and NTS is off: tests/system/test_steering.py, test_nts_ke.py and test_nts_source.py compare those.
        elsewhere = ("ntp_steering_", "ntp_nts_ke_", "ntp_nts_client_", "ntp_nts_certificate_", "ntp_source_nts_")
        self.assertEqual({name: kind for name, kind in documented.items() if not name.startswith(elsewhere)}, written)

    def test_a_real_prometheus_scrapes_it_and_evaluates_the_rules(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("rules.yml", "alerts.yml"):
                shutil.copy(os.path.join(PACKAGING, name), folder)
            with open(os.path.join(PACKAGING, "prometheus.yml")) as example:
                hurried = example.read().replace("15s", "1s")
            with open(os.path.join(folder, "prometheus.yml"), "w") as file:
                file.write(hurried)
            with open(os.path.join(folder, "log"), "w") as log:
                prometheus = subprocess.Popen(
                    [PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                     "--web.listen-address=127.0.0.1:9090", "--web.console.templates=/nonexistent", "--web.console.libraries=/nonexistent"],
                    stdout=log, stderr=subprocess.STDOUT)
            try:
                self.look_at(prometheus, os.path.join(folder, "log"))
            finally:
                prometheus.terminate()
                prometheus.wait(20)

    def look_at(self, prometheus, log):
        def query(expression):
            if prometheus.poll() is not None:
                with open(log) as file:
                    self.fail(file.read()[-2000:])
            address = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression})
            try:
                with urllib.request.urlopen(address, timeout=3) as response:
                    return [float(r["value"][1]) for r in json.load(response)["data"]["result"]]
            except (urllib.error.URLError, ConnectionError):
                return []
        until(lambda: query('up{job="ntp-server"}') == [1.0], seconds=40, what="a scrape")
        self.assertEqual(query("ntp_system_synchronised"), [1.0])
        self.assertEqual(query('count(ntp_server_dropped_packets_total)'), [float(self.metrics.count("\nntp_server_dropped_packets_total{"))])
        def counted():
            ask()
            return [rate for rate in query("instance:ntp_server_received_packets:rate5m") if rate > 0]
        until(counted, seconds=30, what="the recorded rate")
        self.assertEqual(query("ALERTS"), [])


if __name__ == "__main__":
    if os.environ.get("NTP_TEST_NETNS") != "1":  # still outside: the network is there
        provide(sys.argv[3])
    enter_own_network()
    PROGRAM, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
    PROMETHEUS, PROMTOOL = provide(os.path.abspath(sys.argv[3]))
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
