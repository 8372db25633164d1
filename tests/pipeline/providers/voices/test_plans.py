import pytest

from pipeline.providers.voices import plans


@pytest.mark.parametrize(
    ("plan", "free"), [("free", True), ("Free", True), ("starter", False), ("", False)]
)
def test_only_the_free_plan_is_free(plan: str, free: bool) -> None:
    assert plans.is_free(plan) == free


@pytest.mark.parametrize(
    ("plan", "wanted", "allowed"),
    [("free", 4, 2), ("creator", 4, 4), ("scale", 32, 15), ("enterprise", 32, 32), ("", 4, 4)],
)
def test_a_plan_allows_so_many_calls_at_once(plan: str, wanted: int, allowed: int) -> None:
    assert plans.calls_at_once(plan, wanted) == allowed
