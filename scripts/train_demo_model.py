"""Train the embedded demo model: a tiny Idefics3 that answers questions about drawn shapes.

This file exists so that the checkpoint in workers/demo_model can be reproduced by anyone, on a
GPU in minutes or, slower, on a CPU. New images are drawn all the time (see demo_feed.py). Two
helper heads, thrown away at the end, make the vision tower name what each patch shows and where
the centres are; without them it hardly learns to see.

It never draws a held-out image (seeds below FIRST_TRAINING_SEED) and measures nothing but the
loss: see demo_accuracy.py.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from pathlib import Path
from typing import Any

from demo_checkpoint import IMAGE_TOKENS, make_tokenizer, model_config, write_files
from demo_drawing import COLOURS, KINDS
from demo_feed import ALONE, CHUNK, Feed, Pool, Rows
from tokenizers import Tokenizer

CLASSES = len(COLOURS) * (1 + len(KINDS))


def build(folder: Path, tokenizer: Tokenizer) -> Any:
    """Build the model and its two helper heads, resuming from `folder` if it holds a state."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    config = Idefics3Config.from_dict(model_config(tokenizer))
    net = torch.nn.ModuleDict({"model": Idefics3ForConditionalGeneration(config)})
    net["patches"] = torch.nn.Linear(config.vision_config.hidden_size, CLASSES)
    net["centres"] = torch.nn.Linear(config.vision_config.hidden_size, 1)
    state = folder / "training_state.pt"
    if state.exists():
        net.load_state_dict(torch.load(state, map_location="cpu", weights_only=True))
        print(f"resuming from {state}")
    return net


def helper_losses(net: Any, seen: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Return the losses of the patches' names and of the centres."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    weights = torch.ones(CLASSES, device=seen.device)
    weights[: len(COLOURS)] = 0.3
    names = net["patches"](seen).float().flatten(0, 1)
    naming = cross_entropy(names, batch["labels"].long().flatten(), weights)
    centres = net["centres"](seen).float().flatten()
    eight = torch.tensor(8.0, device=seen.device)
    targets = batch["centres"].float().flatten()
    return naming, binary_cross_entropy_with_logits(centres, targets, pos_weight=eight)


def attention_mask(segments: Any) -> Any:
    """Let each token see the earlier ones of its own segment and, if it may, the image's."""
    import torch

    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    shared = (segments[:, None, :] == 0) & (segments[:, :, None] < ALONE)
    causal = torch.ones(length, length, device=segments.device).tril().bool()
    return ((same | shared) & causal)[:, None]


def losses(net: Any, rows: Rows, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the losses of the answers, of the patches' names and of the centres."""
    import torch
    from torch.nn.functional import cross_entropy

    model = net["model"]
    pixels = batch["pictures"].permute(0, 3, 1, 2).float() / 127.5 - 1.0
    seen = model.model.vision_model(pixel_values=pixels).last_hidden_state
    naming, centring = helper_losses(net, seen, batch)
    tokens, segments, positions, answers = batch["rows"].long().unbind(1)
    size, prefix = len(tokens), torch.tensor(rows.prefix, device=tokens.device)
    ids = torch.cat([prefix.expand(size, -1), tokens], 1)
    embedded = model.get_input_embeddings()(ids)
    first, last = rows.first_image, rows.first_image + IMAGE_TOKENS
    features = model.model.connector(seen).to(embedded.dtype)
    embedded = torch.cat([embedded[:, :first], features, embedded[:, last:]], 1)
    zeros = segments.new_zeros(size, len(rows.prefix))
    places = torch.arange(len(rows.prefix), device=ids.device).expand(size, -1)
    hidden = model.model.text_model(
        inputs_embeds=embedded,
        attention_mask=attention_mask(torch.cat([zeros, segments], 1)),
        position_ids=torch.cat([places, positions], 1),
        use_cache=False,
    ).last_hidden_state
    wanted = torch.cat([zeros, answers], 1)[:, 1:].bool()
    logits = model.lm_head(hidden[:, :-1][wanted]).float()
    return cross_entropy(logits, ids[:, 1:][wanted]), naming, centring


def save(net: Any, average: Any, folder: Path, tokenizer: Tokenizer) -> None:
    """Write the checkpoint (averaged weights, without the helper heads) and the full state."""
    import torch
    from safetensors.torch import save_file

    write_files(folder, tokenizer)
    weights = average["model"].state_dict()
    plain = {name: value.float().cpu().contiguous() for name, value in weights.items()}
    save_file(plain, str(folder / "model.safetensors"), metadata={"format": "pt"})
    half = {name: value.float().cpu() for name, value in net.state_dict().items()}
    torch.save(half, folder / "training_state.pt")


def make_optimiser(net: Any, rate: float) -> Any:
    """AdamW, decaying matrices only."""
    import torch

    decayed = [p for p in net.parameters() if p.ndim > 1]
    other = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def set_rate(optimiser: Any, args: argparse.Namespace, step: int, began: float) -> float:
    """Warm up, then fall along a cosine with the steps or the time, whichever is further on."""
    progress = max(step / args.steps, (time.monotonic() - began) / args.seconds)
    cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    rate = float(args.rate * min(1, (step + 1) / args.warmup) * cosine)
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate


def loop(net: Any, average: Any, pool: Pool, args: argparse.Namespace, began: float) -> int:
    """Take steps until they or the seconds run out; return how many were taken."""
    import torch

    rows, optimiser = Rows(args.tokenizer), make_optimiser(net, args.rate)
    half = torch.autocast(args.device, torch.bfloat16, enabled=args.device == "cuda")
    started, last_report, step = time.monotonic(), 0.0, 0
    while step < args.steps and time.monotonic() - began < args.seconds:
        rate = set_rate(optimiser, args, step, began)
        pool.refresh(args.feed, 4)
        with half:
            answer, naming, centring = losses(net, rows, pool.batch(args.batch_size))
        (answer + args.helpers * (naming + centring)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        with torch.no_grad():
            keep = min(0.998, step / (step + 10))
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - keep)
        if time.monotonic() - last_report > 10 or step == args.steps:
            last_report = time.monotonic()
            print(
                f"step {step} {last_report - started:.0f} s, drawn {pool.drawn:,}: answers "
                f"{answer:.4f} patches {naming:.4f} centres {centring:.4f} rate {rate:.1e}",
                flush=True,
            )
    return step


def train(args: argparse.Namespace) -> None:
    """Build or resume, train, and save in any case."""
    import torch

    began = time.monotonic()
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    net = build(args.resume or args.out, args.tokenizer).to(args.device)
    average = copy.deepcopy(net)
    count = sum(p.numel() for p in net["model"].parameters())
    print(f"{count:,} parameters on {args.device}")
    if args.compile:
        for tower in (net["model"].model.vision_model, net["model"].model.text_model):
            tower.forward = torch.compile(tower.forward)
    pool = Pool(args.pool // CHUNK * CHUNK, args.device)
    while pool.drawn < min(args.batch_size * 4, pool.capacity):
        pool.take(args.feed)
    try:
        step = loop(net, average, pool, args, began)
        print(f"{step} steps, {time.monotonic() - began:.0f} s")
    finally:
        save(net, average, args.out, args.tokenizer)
        print(f"saved {args.out}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the embedded demo model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--resume", type=Path, help="folder with training_state.pt (default: out)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--steps", type=int, default=10**9, help="number of steps")
    parser.add_argument("--seconds", type=float, default=420.0, help="stop after so long")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--warmup", type=int, default=200, help="steps of warm-up")
    parser.add_argument("--helpers", type=float, default=1.0, help="weight of the helper losses")
    parser.add_argument("--pool", type=int, default=200_000, help="images held at a time")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0, help="also chooses the images drawn")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    return parser.parse_args()


def main() -> None:
    """Start the drawing processes, then train."""
    args = arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if args.smoke:
        args.steps, args.batch_size, args.pool, args.warmup = min(args.steps, 6), 16, 256, 2
    args.tokenizer = make_tokenizer()
    # The workers are forked, so they start before anything touches the GPU.
    args.feed = Feed(args.workers, args.seed, args.tokenizer)
    try:
        import torch

        if args.device == "auto":
            args.device = "cuda" if torch.cuda.is_available() else "cpu"
        train(args)
    finally:
        args.feed.stop()


if __name__ == "__main__":
    main()
