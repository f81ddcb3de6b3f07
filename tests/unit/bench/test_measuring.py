"""What a program costs is counted whole."""

import subprocess
import sys

import pytest

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])\n"


def run(tmp_path, code, timeout=60):
    from measuring import run_script

    return run_script(
        [sys.executable, "-c", code], environment={}, log=tmp_path / "log", timeout=timeout
    )


def test_the_cpu_of_a_child_that_ended_before_its_parent_counts(tmp_path):
    assert run(tmp_path, PARENT).cpu_s > 0.35


def test_a_tree_counts_the_cpu_of_children_that_are_gone():
    from measuring import Tree

    waits = PARENT + "print('done', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout.readline() == b"done\n"
        tree = Tree([parent.pid])
        assert tree.pids() == {parent.pid}
        # The kernel tells ticks of 10 ms.
        assert tree.cpu_s() > 0.35
        parent.stdin.close()


def test_a_tree_leaves_out_what_it_is_told_to():
    from measuring import Tree

    nested = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'],"
        " stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        child = int(parent.stdout.readline())
        assert Tree([parent.pid]).pids() == {parent.pid, child}
        assert Tree([parent.pid], without=[child]).pids() == {parent.pid}
        parent.stdin.close()


def test_the_peak_of_memory_that_was_given_back_is_seen(tmp_path):
    used = run(tmp_path, f"x = b'x' * 200_000_000\ndel x\n{BURN.format(seconds=0.5)}")
    assert used.largest_mb > 180


def test_a_script_that_fails_says_why(tmp_path):
    from measuring import Failed

    with pytest.raises(Failed, match=r"exit code 1: .*no such luck"):
        run(tmp_path, "raise SystemExit('no such luck')")


def test_a_script_that_hangs_is_ended_with_its_children(tmp_path):
    from measuring import Failed

    child = "import time; time.sleep(600)"
    hangs = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n"
    with pytest.raises(Failed, match="not done after 1 s"):
        run(tmp_path, hangs, timeout=1)
