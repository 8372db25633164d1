import pytest

from pipeline.masking import masked


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("a key-123 in it", ["key-123"], "a *** in it"),
        ("key-123-long and key-123", ["key-123", "key-123-long"], "*** and ***"),
        ("?token=a%2Fb%7Cc%3D1", ["a/b|c=1"], "?token=***"),
        ("a cat in a hat", ["a", "", "cat"], "a cat in a hat"),
    ],
)
def test_secrets_are_masked_and_words_stay_whole(text, secrets, shown):
    assert masked(text, secrets) == shown
