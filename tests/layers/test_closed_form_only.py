"""The context is of a thread, and ends as it began."""

import threading

import pytest

from tf_bdecay.layers.closed_form_only import closed_form_only, is_plain

pytestmark = pytest.mark.any_backend


def test_it_is_on_inside_and_nests():
    assert not is_plain()
    with closed_form_only():
        with closed_form_only():
            assert is_plain()
        assert is_plain()
    assert not is_plain()


def test_an_error_ends_it():
    with pytest.raises(RuntimeError), closed_form_only():
        raise RuntimeError
    assert not is_plain()


def test_other_threads_do_not_see_it():
    seen = []
    with closed_form_only():
        other = threading.Thread(target=lambda: seen.append(is_plain()))
        other.start()
        other.join()
    assert seen == [False]
