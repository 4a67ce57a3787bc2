#!/usr/bin/env python3
"""The arithmetic of the tables, and when a run counts as disturbed."""

import unittest

import report


def run(rate, others=0.0, steal=0.0):
    return {"rate": rate, "others_server_cpu": others, "others_client_cpu": 0.0, "steal": steal}


class ReportTest(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        # The second round is three times slower for all: the ratio must not see it.
        series = report.Series([{"ours": run(300), "base": run(200)},
                                {"ours": run(100), "base": run(50)},
                                {"ours": run(330), "base": run(220)}])
        ratios = series.ratios("ours", "base", report.closed_rate)
        self.assertEqual(ratios, [1.5, 2.0, 1.5])
        self.assertEqual(report.spread(ratios), {"median": 1.5, "min": 1.5, "max": 2.0})
        self.assertEqual(report.spread_text(ratios), "1.50 [1.50-2.00]")

    def test_a_run_is_disturbed_by_other_programs_or_by_the_hypervisor(self):
        self.assertFalse(report.is_disturbed(run(1, others=0.04, steal=0.01)))
        self.assertTrue(report.is_disturbed(run(1, others=0.06)))
        self.assertTrue(report.is_disturbed(run(1, steal=0.03)))

    def test_columns_line_up(self):
        lines = report.table(["name", "n"], [["a", 1], ["longer", 22]]).splitlines()
        self.assertEqual(lines[0], "name     n")
        self.assertEqual(lines[2:], ["a        1", "longer  22"])


if __name__ == "__main__":
    unittest.main()
