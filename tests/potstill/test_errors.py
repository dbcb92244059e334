import errno

import pytest

from potstill.errors import UserError, disk_is_full


def raised(error, cause=None, while_handling=None):
    """The error as it is after being raised from, or while handling, another."""
    try:
        if while_handling is not None:
            try:
                raise while_handling
            except type(while_handling):
                raise error from cause
        raise error from cause
    except type(error) as caught:
        return caught


def test_a_message_is_one_line():
    assert str(UserError("one\n  two\t three ")) == "one two three"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_system_says_that_the_disk_is_full(number):
    assert disk_is_full(OSError(number, "anything"))


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at inline_container.cc:664] . unexpected pos 704: file write failed",
        "I/O error: No space left on device (os error 28)",
    ],
)
def test_a_library_that_only_quotes_the_system_is_understood(text):
    assert disk_is_full(RuntimeError(text))


def test_what_an_error_was_raised_from_counts():
    full = OSError(errno.ENOSPC, "full")
    assert disk_is_full(raised(ValueError("outer"), cause=raised(KeyError("inner"), cause=full)))


def test_what_was_being_handled_counts():
    assert disk_is_full(raised(ValueError("outer"), while_handling=OSError(errno.ENOSPC, "full")))


@pytest.mark.parametrize(
    "error", [None, OSError(errno.EACCES, "Permission denied"), RuntimeError("out of memory"), UserError("full")]
)
def test_other_errors_say_nothing_of_the_disk(error):
    assert not disk_is_full(error)


def test_a_chain_without_full_disk_ends():
    assert not disk_is_full(raised(ValueError("outer"), cause=KeyError("inner"), while_handling=OSError("other")))
