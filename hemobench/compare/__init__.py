"""Comparing models: suites of boards, the runner that trains them, the leaderboard, its figures and its report."""
