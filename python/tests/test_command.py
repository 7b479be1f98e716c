"""The command line as a module."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from conftest import TINY


def maana(*arguments: str, **options):
    return subprocess.run([sys.executable, "-m", "maana", *arguments], capture_output=True, text=True, **options)


def test_the_command_line_comes_with_the_package():
    assert maana("--version").stdout.startswith("maana ")
    compared = maana("similarity", TINY, "Habari", "Habari")
    assert compared.returncode == 0 and "1.0" in compared.stdout
    wrong = maana("similarity", "/nowhere", "a", "b")
    assert wrong.returncode == 1 and "/nowhere" in wrong.stderr
    assert maana("no-such-command").returncode == 2


def test_ctrl_c_ends_it():
    process = subprocess.Popen([sys.executable, "-m", "maana", "serve", TINY, "--port", "0"], stderr=subprocess.PIPE)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    assert process.returncode is not None
