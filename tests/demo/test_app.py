"""`python app.py` as a process: it serves, says where, tells nobody outside, and leaves nothing behind when stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytest.importorskip("gradio", reason="the demo needs gradio")
ROOT = Path(__file__).parents[2]
WAIT_S = 120


@pytest.mark.slow
def test_the_app_serves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "another's").write_text("not ours to delete")
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path)}
    server = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        config = _config(url, server)
        assert server.stdout is not None
        # Before it is stopped: it serves a moment earlier than it says so.
        assert any(f"hemobench is at {url}" in line for line in server.stdout)
        assert config["analytics_enabled"] is False
        assert config["run_history"] is False
        (folder,) = tmp_path.glob("hemobench-demo-*")
        answer = httpx.post(f"{url}gradio_api/upload", files={"files": ("DOE_JOHN.nii", b"x" * 500)}).json()
        assert Path(answer[0]).is_relative_to(folder.resolve())
    finally:
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)  # as impatient supervisors do
        written = server.communicate(timeout=60)[0]
    assert server.returncode == 0, written
    assert not list(tmp_path.glob("hemobench-demo-*"))
    assert not list(tmp_path.rglob("DOE_JOHN*"))
    assert (tmp_path / "another's").read_text() == "not ours to delete"


def _config(url: str, server: subprocess.Popen[str]) -> dict[str, object]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return dict(httpx.get(f"{url}config", timeout=5).json())
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the app did not start")
