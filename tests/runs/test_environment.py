"""The commit of a source tree is read from files: git itself would run what a repository names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from undrift.cli.dispatch import main
from undrift.runs.environment import commit_of, describe_environment

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(tree: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", "-C", str(tree), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit whose configuration runs a program."""
    tree = tmp_path / "archive"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "file").write_text("content")
    git(tree, "add", "file")
    git(tree, "commit", "-q", "-m", "first")
    program = tree / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'executed'}\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "diff.external", "core.pager"):
        git(tree, "config", key, str(program))
    git(tree, "config", "core.hooksPath", str(tree))
    return tree


@needs_git
def test_nothing_that_a_repository_names_is_executed(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tree)
    assert main(["doctor"]) == 0
    assert describe_environment("cpu").cores
    assert commit_of(tree) is not None
    assert not (tmp_path / "executed").exists()
    git(tree, "status")
    assert (tmp_path / "executed").exists()  # git does execute it


@needs_git
def test_the_commit_is_git_s_own(tree, tmp_path):
    git(tree, "config", "--unset", "core.fsmonitor")
    commit = git(tree, "rev-parse", "HEAD")
    assert commit_of(tree) == {"commit": commit}  # a branch in a file
    git(tree, "pack-refs", "--all")
    assert commit_of(tree) == {"commit": commit}  # a branch in packed-refs
    git(tree, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    assert commit_of(tmp_path / "linked") == {"commit": commit}
    git(tree, "checkout", "-q", "--detach")
    assert commit_of(tree) == {"commit": commit}  # no branch


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/gone", "ref: ../../secret", "ref: refs/../x"]
)
def test_what_names_no_commit_is_none(tmp_path, head):
    assert commit_of(tmp_path) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / "secret").write_text("a" * 40)
    (tmp_path / ".git" / "x").write_text("a" * 40)
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert commit_of(tmp_path) is None
