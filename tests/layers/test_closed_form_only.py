"""The context applies to its own thread, and restores the state it found."""

import threading

import pytest

from tf_bdecay.layers.closed_form_only import closed_form_is_on, closed_form_only

pytestmark = pytest.mark.any_backend


def test_it_is_on_inside_and_nests():
    assert not closed_form_is_on()
    with closed_form_only():
        with closed_form_only():
            assert closed_form_is_on()
        assert closed_form_is_on()
    assert not closed_form_is_on()


def test_an_error_ends_it():
    with pytest.raises(RuntimeError), closed_form_only():
        raise RuntimeError
    assert not closed_form_is_on()


def test_other_threads_do_not_see_it():
    seen = []
    with closed_form_only():
        other = threading.Thread(target=lambda: seen.append(closed_form_is_on()))
        other.start()
        other.join()
    assert seen == [False]
