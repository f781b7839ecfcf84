"""Paths of flags: a home, and addresses that are no paths."""

import os
import pathlib

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.paths import local

pytestmark = pytest.mark.any_backend


def test_a_home_is_found_and_all_else_stays(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local("--workdir", "~/runs/a") == "/home/me/runs/a"
    for path in ("runs/~a", "/x", "", "a://"[:2], "C:x", "./gs:", pathlib.Path("runs")):
        assert local("--workdir", path) == os.fspath(path)


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://b", "https://x/y.npz", "file:///tmp/x"])
def test_an_address_is_refused(path):
    with pytest.raises(BadInput) as caught:
        local("--out", path)
    assert str(caught.value).startswith("--out must be a path on this machine")
    assert str(caught.value).endswith(f"Received: {path}")
