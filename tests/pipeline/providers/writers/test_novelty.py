from pipeline.providers.writers.novelty import grams, greatest_overlap, overlap


def test_case_and_punctuation_do_not_count():
    assert grams("One, two: THREE four!") == {("one", "two", "three", "four")}


def test_the_overlap_is_a_part_of_the_smaller_set():
    short, long = grams("a b c d e"), grams("x a b c d y z q")
    assert overlap(short, long) == 0.5
    assert overlap(grams("a b"), long) == 0.0


def test_the_greatest_overlap_counts():
    assert greatest_overlap("a b c d e", [grams("q r s t"), grams("a b c d")]) == 1.0
    assert greatest_overlap("a b c d", []) == 0.0
