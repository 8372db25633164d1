import torch

from training.randomness import Randomness


def test_a_draw_is_the_same_whenever_it_is_asked_for():
    random = Randomness(42)
    first = random.normal((3, 4), "noise", 7)
    torch.randn(100)
    random.normal((3, 4), "noise", 8)
    assert torch.equal(random.normal((3, 4), "noise", 7), first)


def test_seed_purpose_and_counter_each_make_another_draw():
    draws = [
        Randomness(42).normal((4,), "noise", 7),
        Randomness(43).normal((4,), "noise", 7),
        Randomness(42).normal((4,), "latents", 7),
        Randomness(42).normal((4,), "noise", 8),
        Randomness(42).normal((4,), "noise", 7, 0),
    ]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(draws)


def test_keys_have_63_bits_and_no_two_meanings():
    random = Randomness(0)
    keys = [random.key("order", number) for number in range(1000)]
    assert len(set(keys)) == 1000
    assert all(0 <= key < 2**63 for key in keys)
    assert max(keys) > 2**62
    assert random.key("a", 1, 11) != random.key("a", 11, 1) != random.key("a", 111)


def test_draws_leave_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    Randomness(5).permutation(10, "order", 0)
    assert torch.equal(torch.randn(3), expected)


def test_a_pin_makes_the_global_generator_a_function_of_the_step():
    Randomness(5).pin("step", 3)
    expected = torch.randn(3)
    torch.randn(50)
    Randomness(5).pin("step", 3)
    assert torch.equal(torch.randn(3), expected)


def test_noise_is_normal():
    noise = Randomness(1).normal((100_000,), "noise", 0)
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
