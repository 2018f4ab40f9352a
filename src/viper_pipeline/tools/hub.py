"""`viper push` and `viper pull`: datasets, rewards and their cards to and from the Hugging Face Hub.

`huggingface_hub` does the transfer and knows who is logged in. HF_ENDPOINT names another Hub. What is pulled is checked
as if it came from a stranger: hashes, fields and formats, before it appears at its place. Rewards need nothing
beyond the extra `hub`; files of episodes need HDF5.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from viper_pipeline import __version__
from viper_pipeline.core.errors import BadData, BadEnvironment, BadParams, ViperError
from viper_pipeline.core.files import atomic_dir
from viper_pipeline.data.importers.lerobot import INFO
from viper_pipeline.reporting.hub_cards import LIBRARY, shared
from viper_pipeline.rewards.pretrained import CARD, MANIFEST, open_package

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KINDS = ("model", "dataset")
"""The Hub's kinds of repositories that hold something of ours: rewards are models."""
GIT = ".gitattributes"
"""A file of Git alone, which stays there."""
NOTES = ".cache"
"""Where the library keeps its notes beside the files."""


def push(path: Path, repo: str, license: str | None = None, private: bool = False, message: str | None = None) -> str:
    """Send an artifact and its card to the repository `repo` (USER/NAME). Other files there stay as they are.

    Returns one line with the address. A repository that is missing is made. Raises BadParams without a license that is
    needed or with a wrong name, BadData for what cannot be shared, BadEnvironment without the Hub or a login.
    """
    content = shared(Path(path), license)
    api = hub()
    with tempfile.TemporaryDirectory() as temporary, _explained(api, repo):
        folder = Path(temporary)
        for name, file in content.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(file.resolve())
        for name, picture in content.pictures.items():
            (folder / name).write_bytes(picture)
        (folder / CARD).write_text(content.card)
        api.create_repo(repo, repo_type=content.kind, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            repo_type=content.kind,
            folder_path=folder,
            commit_message=message or f"{Path(path).name}, from {LIBRARY} {__version__}",
        )
        size = sum(file.stat().st_size for file in content.files.values())
    where = repo if content.kind == "model" else f"{content.kind}s/{repo}"
    return (
        f"{api.endpoint}/{where}: {len(content.files)} files and a card, {size / 1e6:.1f} MB, commit {commit.oid[:12]}"
    )


def pull(repo: str, out: Path, revision: str | None = None, kind: str | None = None) -> str:
    """Fetch the repository `repo` into the new folder `out`; returns a line for each thing that is in it.

    revision: branch, tag or commit; kind: model or dataset, needed if there are both of this name. Raises BadData for
    what is not there or damaged, and leaves nothing behind then; BadEnvironment without the Hub.
    """
    out = Path(out)
    if out.exists():
        raise BadData(f"{out}: exists already; name a new folder")
    api = hub()
    with _explained(api, repo):
        kind = kind or _kind_of(api, repo, revision)
        commit = api.repo_info(repo, repo_type=kind, revision=revision).sha
        with atomic_dir(out) as folder:
            notes = folder / NOTES
            api.snapshot_download(
                repo, repo_type=kind, revision=commit, local_dir=folder, cache_dir=notes, ignore_patterns=GIT
            )
            shutil.rmtree(notes, ignore_errors=True)
            lines = list(_checked(folder, out))
    return "\n".join([f"{out}: {kind} {repo}, commit {commit}", *lines])


def hub() -> HfApi:
    """The Hub's interface. Raises BadEnvironment if `huggingface_hub` is not installed."""
    if not find_spec("huggingface_hub"):
        raise BadEnvironment("the Hugging Face Hub needs huggingface_hub: pip install 'viper-pipeline[hub]'")
    from huggingface_hub import HfApi

    return HfApi(os.environ.get("HF_ENDPOINT"), library_name=LIBRARY, library_version=__version__)


def _kind_of(api: HfApi, repo: str, revision: str | None) -> str:
    """Which kind of repository has this name."""
    found = [kind for kind in KINDS if api.repo_exists(repo, repo_type=kind)]
    if not found:
        raise BadData(f"{repo}: {api.endpoint} has no such repository, or it is private and you are not logged in")
    if len(found) > 1:
        raise BadParams(f"{repo}: is the name of a model and of a dataset; say --kind model or --kind dataset")
    return found[0]


def _checked(folder: Path, out: Path) -> Iterator[str]:
    """One line for each thing that a folder holds and that is whole. Raises BadData for the rest."""
    known = False
    for file in sorted(folder.glob("*.h5")):
        from viper_pipeline.data.hdf5 import verify

        verify(file)
        known = True
        yield f"{out / file.name}: whole; `kind: episodes` reads it"
    if (folder / MANIFEST).is_file():
        package = open_package(folder)
        known = True
        yield f"{out}: whole, a reward for {package.suite}; viper_pipeline.load_reward('{out}') reads it"
    if (folder / INFO).is_file():
        known = True
        yield f"{out}: a LeRobot dataset; `kind: lerobot` reads and checks it"
    if not known:
        raise BadData(f"{out}: the repository holds no episodes, no exported reward and no LeRobot dataset")


@contextmanager
def _explained(api: HfApi, repo: str) -> Iterator[None]:
    """Every error of the Hub as one line with a remedy."""
    from huggingface_hub import errors

    login = "log in with `hf auth login`, or set HF_TOKEN"
    try:
        yield
    except ViperError:
        raise
    except errors.HFValidationError as error:
        raise BadParams(f"{repo}: is no name of a repository, USER/NAME ({error})") from error
    except errors.RevisionNotFoundError as error:
        raise BadData(f"{repo}: has no such branch, tag or commit") from error
    except errors.RepositoryNotFoundError as error:
        raise BadData(f"{repo}: {api.endpoint} has no such repository, or it is not yours; {login}") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        remedy = f"; {login}" if status in (401, 403) else ""
        raise BadEnvironment(f"{repo}: {api.endpoint} answered with status {status}{remedy}") from error
    except Exception as error:  # no network, no answer, a stopped transfer: the library has no class for all of them
        of_library = type(error).__module__.startswith(("httpx", "hf_xet", "huggingface_hub"))
        if not (of_library or isinstance(error, OSError | RuntimeError)):
            raise
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise BadEnvironment(f"{repo}: {api.endpoint} cannot be reached, or the transfer failed ({reason})") from error
