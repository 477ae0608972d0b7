"""A small pretrained transformer as a teacher: it learns from judged phrases and sentences, and judges others.

It knows from its pretraining what words mean in sentences, as no network does that has only read film reviews. It runs
in training only; the published network learns its answers. PyTorch and the package `transformers` run it.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.files import hash_file
from training.errors import CheckpointError, DataError, DivergedError
from training.files import replacing
from training.optional import import_optional
from training.recipes.general import TransformerSettings

_LONGEST = 64  # pieces of words that it reads
_ANSWERED = 256  # texts at once
_SORTED = 50  # batches whose texts are sorted by length together
_DROPOUT = 0.1
_WEIGHT_DECAY = 0.01
_LEAST_RATE = 0.02  # share of the rate at the last step


_FILES = ("config.json", "tokenizer.json", "model.safetensors")


def hash_pretrained(folder: Path) -> str:
    """Return the SHA-256 of a pretrained transformer's files.

    Raises:
        DataError: the folder lacks one.
    """
    try:
        hashes = [hash_file(folder / name) for name in _FILES]
    except OSError as error:
        raise _no_transformer(folder, str(error)) from error
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


class Transformer:
    """A pretrained encoder with a linear layer over its first and its mean state."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Load the pretrained encoder in a folder.

        Raises:
            MissingPackageError: PyTorch or `transformers` is not installed.
            DataError: the folder has no encoder.
        """
        self._torch, transformers = (import_optional(name) for name in ("torch", "transformers"))
        transformers.utils.logging.disable_progress_bar()
        self._torch.manual_seed(seed)
        try:
            self._tokeniser = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._encoder = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise _no_transformer(folder, str(error).splitlines()[0]) from error
        self._head = self._torch.nn.Linear(2 * self._encoder.config.hidden_size, 1)
        self._dropout = self._torch.nn.Dropout(_DROPOUT)
        self._network = self._torch.nn.ModuleList([self._encoder, self._head, self._dropout])

    def fit(
        self,
        texts: Sequence[str],
        targets: NDArray[np.float32],
        settings: TransformerSettings,
        seed: int,
        checkpoint: Path,
        console: Console,
    ) -> float:
        """Train it on texts and their probabilities of positive, float32 [texts]; return the mean loss at the end.

        It continues from the file of the last checkpoint, if there is one.

        Raises:
            CheckpointError: the file belongs to another training.
            DivergedError: the loss is not a finite number.
        """
        torch, rows = self._torch, self._encode(texts)
        lengths = np.array([len(row) for row in rows])
        steps = int(settings.passes * -(-len(rows) // settings.batch_size))
        optimiser = torch.optim.AdamW(
            [
                {"params": list(self._encoder.parameters()), "lr": settings.learning_rate},
                {"params": list(self._head.parameters()), "lr": settings.head_rate},
            ],
            weight_decay=_WEIGHT_DECAY,
            fused=True,
        )
        warm_up = max(1, int(settings.warm_up * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1, (step + 1) / warm_up) * max(_LEAST_RATE, 1 - step / steps)
        )
        state = {"network": self._network, "optimiser": optimiser, "schedule": schedule}
        done, losses = self._restore(checkpoint, state, steps)
        started, first = time.monotonic(), done
        self._network.train()
        for step, batch in _plan(lengths, settings.batch_size, seed, steps):
            if step < done:
                continue
            torch.manual_seed(seed + step)  # of the dropout, so that a continued training is the same one
            with torch.autocast("cpu", torch.bfloat16):
                logits = self._judge([rows[k] for k in batch])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.tensor(targets[batch]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), settings.clip_norm)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise DivergedError(f"the loss is {losses[-1]} at step {step + 1}; set a smaller learning_rate")
            if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == steps:
                self._save(checkpoint, state, step + 1, losses, steps)
                left = (steps - step - 1) * (time.monotonic() - started) / (step + 1 - first) / 60
                mean = np.mean(losses[-settings.checkpoint_steps :])
                console.print(
                    f"step {step + 1:,} of {steps:,}: loss {mean:.4f}, {left:.0f} min left",
                    highlight=False,
                    soft_wrap=True,
                )
        return float(np.mean(losses[-settings.checkpoint_steps :]))

    def answer(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits of positive of texts, float32 [texts]."""
        torch, rows = self._torch, self._encode(texts)
        order = np.argsort([len(row) for row in rows], kind="stable")
        answers = np.empty(len(rows), np.float32)
        self._network.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(order), _ANSWERED):
                batch = order[start : start + _ANSWERED]
                answers[batch] = self._judge([rows[k] for k in batch]).float().numpy()
        return answers

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._tokeniser(list(texts), truncation=True, max_length=_LONGEST)
        rows: list[list[int]] = encoded["input_ids"]
        return rows

    def _judge(self, rows: list[list[int]]) -> Any:
        """Return the logits of encoded texts."""
        torch = self._torch
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        states = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        return self._head(self._dropout(torch.cat([states[:, 0], mean], 1)))[:, 0]

    def _restore(self, path: Path, state: dict[str, Any], steps: int) -> tuple[int, list[float]]:
        """Restore a training from a file, if it exists; return the number of steps done and their losses."""
        if not path.exists():
            return 0, []
        saved = self._torch.load(path, weights_only=True)
        if saved["steps"] != steps:
            raise CheckpointError(f"{path} belongs to another training; remove it to begin the training again")
        for name, part in state.items():
            part.load_state_dict(saved[name])
        return saved["done"], saved["losses"]

    def _save(self, path: Path, state: dict[str, Any], done: int, losses: list[float], steps: int) -> None:
        parts = {name: part.state_dict() for name, part in state.items()}
        with replacing(path) as file:
            self._torch.save({"done": done, "losses": losses, "steps": steps, **parts}, file)


def _no_transformer(folder: Path, reason: str) -> DataError:
    return DataError(
        f"{folder} has no pretrained transformer ({reason}); --transformer takes a folder with {', '.join(_FILES)}"
    )


def _plan(lengths: NDArray[np.intp], batch_size: int, seed: int, steps: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield the number of each step and its texts, of similar lengths."""
    step, number = 0, 0
    while True:
        random = np.random.default_rng([seed, number])
        parts = np.array_split(random.permutation(len(lengths)), max(1, len(lengths) // (batch_size * _SORTED)))
        batches = [
            batch
            for part in parts
            for batch in np.split(
                part[np.argsort(lengths[part], kind="stable")], range(batch_size, len(part), batch_size)
            )
        ]
        for k in random.permutation(len(batches)):
            if step == steps:
                return
            yield step, batches[k]
            step += 1
        number += 1
