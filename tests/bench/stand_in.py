"""Takes the options that diffusers' train_dreambooth.py and train_dreambooth_lora.py take, and no
others; which of the two it is says its file's name. It trains three numbers.
"""

import argparse
import sys
from pathlib import Path

WORDS = """
pretrained_model_name_or_path revision variant tokenizer_name instance_data_dir class_data_dir
instance_prompt class_prompt output_dir resume_from_checkpoint lr_scheduler hub_token hub_model_id
logging_dir report_to validation_prompt validation_images class_labels_conditioning
"""
WHOLE_NUMBERS = """
num_class_images seed resolution train_batch_size sample_batch_size num_train_epochs max_train_steps
checkpointing_steps checkpoints_total_limit gradient_accumulation_steps lr_warmup_steps
lr_num_cycles dataloader_num_workers num_validation_images local_rank tokenizer_max_length
"""
NUMBERS = """
prior_loss_weight learning_rate lr_power adam_beta1 adam_beta2 adam_weight_decay adam_epsilon
max_grad_norm
"""
SWITCHES = """
with_prior_preservation center_crop train_text_encoder gradient_checkpointing scale_lr use_8bit_adam
push_to_hub allow_tf32 enable_xformers_memory_efficient_attention pre_compute_text_embeddings
text_encoder_use_attention_mask
"""
PRECISIONS = {"mixed_precision": ["no", "fp16", "bf16"]}
FULL = {"validation_steps": int, "snr_gamma": float, "validation_scheduler": str}
FULL_SWITCHES = ["set_grads_to_none", "offset_noise", "skip_save_text_encoder"]
LORA = {"validation_epochs": int, "rank": int}


def parser(*, lora):
    options = argparse.ArgumentParser(allow_abbrev=False)
    for kind, names in ((str, WORDS), (int, WHOLE_NUMBERS), (float, NUMBERS)):
        for name in names.split():
            options.add_argument(f"--{name}", type=kind)
    for name in [*SWITCHES.split(), *([] if lora else FULL_SWITCHES)]:
        options.add_argument(f"--{name}", action="store_true")
    for name, choices in PRECISIONS.items():
        options.add_argument(f"--{name}", choices=choices)
    for name, kind in (LORA if lora else FULL).items():
        options.add_argument(f"--{name}", type=kind)
    return options


def main():
    given = parser(lora="lora" in Path(sys.argv[0]).name).parse_args()
    pictures = len(list(Path(given.class_data_dir).iterdir()))
    if pictures < given.num_class_images:
        raise SystemExit("It would draw class images now.")
    if not (Path(given.pretrained_model_name_or_path) / "unet").is_dir():
        raise SystemExit("There is no base.")
    import torch

    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weights], lr=given.learning_rate)
    for _ in range(given.max_train_steps):
        weights.sum().backward()
        optimizer.step()


if __name__ == "__main__":
    main()
