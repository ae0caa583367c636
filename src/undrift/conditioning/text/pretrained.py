"""Texts encoded by a frozen text model of `transformers`, and small layers trained behind it.

The frozen model is named by its folder or its id on the Hugging Face hub and by a hash of its
files; it is no part of the weights. Each text is encoded by itself, so its features do not depend
on other texts, and once: they are kept in memory, those of training captions on disk too.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from undrift.conditioning.text.encoder import SequenceEncoder
from undrift.conditioning.text.kind import LONGEST, TextKind, words_of
from undrift.conditioning.text.texts import Texts
from undrift.errors import ModelFileError, UsageError, one_line, shown
from undrift.files.cache import cache_directory
from undrift.files.durable import write_file
from undrift.files.tensors import read_tensors
from undrift.limits import WIDEST
from undrift.networks.context import Context
from undrift.schema import check_ranges

FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "*.model"),
    *("vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
)
"""Files of a text model that its features depend on; others are neither read nor hashed."""

MOST_RECENT = 4096
"""Texts beside the training captions whose features are kept in memory."""

MOVED = "UNDRIFT_TEXT_ENCODER"
"""Environment variable: folder of a text model that is no longer where a run or pipeline says."""

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_INSTALL = "install undrift[text]"


@dataclass(frozen=True)
class PretrainedText(TextKind):
    """Texts in the features of a frozen model; see `TextKind`.

    Attributes:
        source: folder of the model, absolute, or its id on the Hugging Face hub.
        fingerprint: hexadecimal, of its files when the run began.
        features: channels of its last hidden state.
        length: tokens of a text that are read, by its tokenizer; the rest is cut off.
        width: channels of an encoded token; a multiple of ``heads``.
        layers: trained behind it.
        heads: of their attention.
        kind: distinguishes it from a vocabulary in a file.
    """

    source: str = field(repr=False)
    fingerprint: str
    features: int
    length: int = LONGEST
    width: int = 128
    layers: int = 2
    heads: int = 4
    kind: Literal["pretrained"] = "pretrained"

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "text",
            features=(1, WIDEST),
            length=(1, 4096),
            width=(1, WIDEST),
            layers=(0, 64),
            heads=(1, 1024),
        )
        if self.width % self.heads:
            raise UsageError(f"text: {self.heads} heads do not divide width {self.width}")

    @classmethod
    def fit(cls, source: str, texts: Sequence[str]) -> PretrainedText:
        """Read as many tokens as the longest of ``texts`` has, up to 64.

        Args:
            source: folder, or id on the hub, from which it is downloaded if it is not there yet.
            texts: captions.

        Raises:
            UsageError: all texts are empty, or `transformers` is not installed.
            ModelFileError: there is no such text model.
        """
        folder = _folder(source, download=True)
        place = str(folder) if os.path.isdir(source) else source
        model = FrozenTextModel(folder, _fingerprint(folder))
        longest = max((text for text in texts if words_of(text)), key=len, default=None)
        if longest is None:
            raise UsageError("text: all texts are empty; there is nothing to learn")
        length = min(LONGEST, model.limit, max(len(tokens) for tokens in model.tokens(texts)))
        (features,) = model.features([longest], length)
        return cls(place, model.fingerprint, features.shape[1], length)

    @property
    def model(self) -> FrozenTextModel:
        """The frozen model, once it is opened.

        Raises:
            UsageError: `transformers` is not installed.
            ModelFileError: it is missing, or another one than when the run began.
        """
        return _opened(self.source, self.fingerprint)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `TextKind.encode`."""
        return self.model.tokens(texts)

    @property
    def tokens(self) -> int:
        """None but the class token."""
        return 0

    def places_in(self, other: TextKind) -> dict[int, int]:
        """No token has an embedding of its own."""
        return {}

    def embedding(self, width: int) -> PretrainedEncoder:
        """See `PretrainedEncoder`."""
        return PretrainedEncoder(self, width)


class PretrainedEncoder(SequenceEncoder[PretrainedText]):
    """Encodes the features of a frozen model into a sequence and a pooled vector."""

    def __init__(self, spec: PretrainedText, vector: int) -> None:
        super().__init__(spec, vector)
        self.inward = nn.Linear(spec.features, spec.width)

    def forward(self, texts: Texts) -> Context:
        """See `TextEncoder.forward`."""
        spec, weight = self.spec, self.inward.weight
        given = {row: text for row, text in enumerate(texts.first) if words_of(text)}
        # A batch without any text needs no frozen model.
        found = spec.model.features([*given.values()], spec.length, weight.device) if given else []
        size = (len(texts), spec.length, spec.features)
        features = torch.zeros(size, dtype=torch.float32, device="cpu")
        mask = torch.zeros(len(texts), 1 + spec.length, dtype=torch.bool, device="cpu")
        mask[:, 0] = True
        for row, one in zip(given, found, strict=True):
            features[row, : len(one)], mask[row, 1 : 1 + len(one)] = one, True
        features = F.rms_norm(features, (spec.features,)).to(weight.device, weight.dtype)
        first = self.embedding.weight[:1].expand(len(texts), 1, -1)
        return self.through(torch.cat([first, self.inward(features)], 1), mask.to(weight.device))


class FrozenTextModel:
    """A tokenizer and a text model, with the features of the texts that were encoded.

    Args:
        folder: where the files are.
        fingerprint: of them.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self._known: dict[tuple[int, str], Tensor] = {}
        self._recent: dict[tuple[int, str], Tensor] = {}

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with the tokenizer's own at its ends; of an empty text none."""
        prepared = (" ".join(words_of(text)) for text in texts)
        # One by one: a tokenizer's threads and a fork do not go together.
        return [self._tokenizer(text)["input_ids"] if text else [] for text in prepared]

    @property
    def limit(self) -> int:
        """Tokens that the model can read."""
        config = self._network.config
        return min(
            self._tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", None) or self._tokenizer.model_max_length,
        )

    def features(
        self, texts: Sequence[str], length: int, device: torch.device | str = "cpu"
    ) -> list[Tensor]:
        """The last hidden state of each text, float16 (L, D) on the CPU.

        Args:
            texts: to encode, none of them empty.
            length: tokens that are read of each.
            device: where to compute.
        """
        keys = [(length, " ".join(words_of(text))) for text in texts]
        if len(self._recent) > MOST_RECENT:
            self._recent.clear()
        found: dict[tuple[int, str], Tensor] = {}  # another thread may clear what is shared
        for key in dict.fromkeys(keys):
            cached = self._known.get(key, self._recent.get(key))
            found[key] = self._computed(key[1], length, device) if cached is None else cached
            if key not in self._known:
                self._recent[key] = found[key]
        return [found[key] for key in keys]

    def prepare(self, captions: Sequence[str], length: int, device: torch.device | str) -> None:
        """Encode ``captions``, unless a file of the cache has them; `features` then finds them.

        Raises:
            UsageError: the cache cannot be written, or `transformers` is not installed.
        """
        texts = sorted({" ".join(words) for text in captions if (words := words_of(text))})
        made_by = [self.fingerprint, str(length), torch.device(device).type, *_versions()]
        named = hashlib.sha256("\0".join([*made_by, *texts]).encode())
        place = cache_directory() / "text" / f"{named.hexdigest()[:32]}.safetensors"
        found = _stored(place)
        if found is None:
            parts = self.features(texts, length, device)
            found = {
                "features": torch.cat(parts),
                "lengths": torch.tensor([len(p) for p in parts], dtype=torch.int64, device="cpu"),
            }
            _store(place, found)
            self._recent.clear()
        split = found["features"].split(found["lengths"].tolist())
        self._known = {(length, text): part for text, part in zip(texts, split, strict=True)}

    @torch.no_grad()
    def _computed(self, text: str, length: int, device: torch.device | str) -> Tensor:
        network = self._network.to(device)
        ids = self._tokenizer(text, truncation=True, max_length=length)["input_ids"]
        given = torch.tensor([ids], dtype=torch.int64, device=device)
        with torch.autocast(given.device.type, enabled=False):
            hidden = network(input_ids=given, attention_mask=torch.ones_like(given))
        found = hidden.last_hidden_state[0].to("cpu", torch.float16)
        if not found.isfinite().all():
            raise ModelFileError(
                f"{self.folder}: the text encoder gives numbers that are not finite for "
                f"{shown(text)}; use another"
            )
        return found

    @functools.cached_property
    def _tokenizer(self) -> Any:  # noqa: ANN401 - transformers has no common type
        with _loading(self.folder) as transformers:
            return transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)

    @functools.cached_property
    def _network(self) -> Any:  # noqa: ANN401 - as above
        with _loading(self.folder) as transformers, torch.random.fork_rng(devices=[]):
            whole = transformers.AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        if whole.config.is_encoder_decoder:
            whole = whole.get_encoder()
        elif hasattr(whole, "vision_model"):
            whole = whole.text_model
        return whole.eval().requires_grad_(False)


@functools.lru_cache(maxsize=4)
def _opened(source: str, fingerprint: str) -> FrozenTextModel:
    folder = _moved(source, fingerprint) or _folder(source, download=False)
    if _fingerprint(folder) != fingerprint:
        raise ModelFileError(
            f"{source}: the text encoder has changed since this model was trained with it; restore "
            f"it ({fingerprint[:8]}), or train anew"
        )
    return FrozenTextModel(folder, fingerprint)


def _moved(source: str, fingerprint: str) -> Path | None:
    """The folder `MOVED`, where it is set and ``source`` is no folder here.

    Raises:
        ModelFileError: it holds another text model.
    """
    name = os.environ.get(MOVED)
    if not name or os.path.isdir(source):
        return None
    folder = Path(name).absolute()
    if not folder.is_dir() or _fingerprint(folder) != fingerprint:
        raise ModelFileError(
            f"{MOVED} {name}: not the text encoder that this model was trained with "
            f"({source}, {fingerprint[:8]}); set it to the folder where that is now"
        )
    return folder


def _versions() -> tuple[str, str]:
    """Of what the features depend on beside the files: torch and `transformers`.

    Raises:
        UsageError: `transformers` is not installed.
    """
    try:
        return torch.__version__, version("transformers")
    except PackageNotFoundError as error:
        raise UsageError(f"text encoder: transformers is missing; {_INSTALL}") from error


def _folder(source: str, *, download: bool) -> Path:
    """Where the files of a text model are.

    Raises:
        UsageError: ``source`` is not a folder, and what reads hub ids is not installed.
        ModelFileError: there is none.
    """
    if os.path.isdir(source):
        return Path(source).absolute()
    if os.path.isabs(source) or not _HUB_ID.fullmatch(source):
        raise ModelFileError(
            f"{source}: the text encoder is not there; "
            + (
                "name a folder or a model of the Hugging Face hub"
                if download
                else f"restore it, or set {MOVED} to the folder where it is now"
            )
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise UsageError(
            f"text encoder {source}: huggingface_hub is missing; {_INSTALL}"
        ) from error
    fetch = functools.partial(snapshot_download, source, allow_patterns=[*FILES])
    try:
        try:
            return Path(fetch(local_files_only=True))
        except LocalEntryNotFoundError:
            if not download:
                raise
            return Path(fetch())
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"text encoder {source}: no such folder, and the Hugging Face hub gives no such model "
            f"({one_line(error)}); name a folder"
            + ("" if download else f" in {MOVED}")
            + f", or run `hf download {source}` once"
        ) from error


@functools.lru_cache(maxsize=16)
def _fingerprint(folder: Path) -> str:
    """Hexadecimal digest of the names and contents of a text model's files.

    Raises:
        ModelFileError: it lacks its configuration or weights, or cannot be read.
    """
    names = sorted({name for rule in FILES for name in fnmatch.filter(os.listdir(folder), rule)})
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise ModelFileError(
            f"{folder}: wanted a text model, with config.json and weights as .safetensors; name "
            "another folder"
        )
    whole = hashlib.sha256()
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelFileError(
                f"{folder / name}: cannot be read ({error.strerror or error}); restore it"
            ) from error
        whole.update(f"{name}\0{part}\0".encode())
    return whole.hexdigest()


@contextlib.contextmanager
def _loading(folder: Path) -> Iterator[Any]:
    """`transformers`, which prints nothing inside.

    Raises:
        UsageError: it is not installed.
        ModelFileError: what is loaded inside cannot be.
    """
    try:
        import transformers
    except ImportError as error:
        raise UsageError(f"text encoder {folder}: transformers is missing; {_INSTALL}") from error
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield transformers
    except Exception as error:  # whatever a damaged file makes of it
        raise ModelFileError(
            f"{folder}: the text encoder cannot be loaded ({one_line(error)}); restore it"
        ) from error
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _stored(place: Path) -> dict[str, Tensor] | None:
    """The features in a file of the cache; None where there is none, or another than was stored."""
    try:
        tensors, about = read_tensors(place, ModelFileError, "delete it, it is made again")
    except ModelFileError:
        return None
    return tensors if about.get("digest") == _digest(tensors) else None


def _store(place: Path, tensors: dict[str, Tensor]) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, save(tensors, {"digest": _digest(tensors)}), durable=False)
    except OSError as error:
        raise UsageError(
            f"the cache {place.parent} cannot be written ({error.strerror or error}): "
            "set UNDRIFT_CACHE to a folder with space"
        ) from error


def _digest(tensors: dict[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(tensors[name].numpy().tobytes())
    return whole.hexdigest()
