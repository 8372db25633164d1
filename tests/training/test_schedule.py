import pytest
import torch

from training.config import TrainingConfig
from training.schedule import rate_at


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(
    "name", ["constant", "constant_with_warmup", "linear", "cosine", "polynomial"]
)
def test_the_rate_is_that_of_diffusers(name, warmup, tmp_path):
    from diffusers.optimization import get_scheduler

    config = TrainingConfig(
        base_model="base",
        instance_data_dir=tmp_path,
        output_dir=tmp_path,
        instance_prompt="a dog",
        learning_rate=1e-3,
        lr_scheduler=name,
        lr_warmup_steps=warmup,
        max_train_steps=20,
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    reference = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=20)
    for step in range(21):
        assert rate_at(config, step) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        reference.step()
