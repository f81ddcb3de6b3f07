"""The watcher counts the CPU time and the memory of a whole process tree."""

import subprocess
import sys
import time

import pytest

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])\n"


def run(tmp_path, code, timeout=60):
    from watching import run_script

    return run_script(
        [sys.executable, "-c", code], environment={}, log=tmp_path / "log", timeout=timeout
    )


def test_a_script_counts_its_children_and_the_peak_of_memory_that_it_freed(tmp_path):
    used = run(tmp_path, f"{PARENT}x = b'x' * 200_000_000\ndel x\n{BURN.format(seconds=0.8)}")
    assert used.cpu_s > 1.1
    assert used.largest_mb > 180


def test_a_tree_counts_children_that_have_ended_and_none_of_an_excluded_process():
    from watching import Watch

    waits = f"sys.stdin.readline()\n{PARENT}print('done', flush=True)\nsys.stdin.readline()\n"
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys\n{waits}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        excluded = Watch(parent.pid, [parent.pid])
        assert excluded.processes() == []
        with Watch(parent.pid) as watch:
            parent.stdin.write(b"\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == b"done\n"
            deadline = time.monotonic() + 30
            while not watch.together_mb and time.monotonic() < deadline:
                time.sleep(0.01)
        # The kernel counts in ticks of 10 ms.
        assert watch.cpu_s > 0.35
        assert (parent.pid, f"{sys.executable} -c import sys\n{waits}") in watch.peaks
        assert 0 < watch.together_mb < 1000
        parent.stdin.close()


def test_a_script_that_hangs_is_killed_with_its_children(tmp_path):
    from watching import Failed

    hangs = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    with pytest.raises(Failed, match="timeout after 1 s"):
        run(tmp_path, hangs, timeout=1)
