"""Folders of models, and pushes to the hub."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from . import _maana
from ._access import check_safe
from ._files import move_entries


class Saving:
    """A model that can be saved and pushed."""

    def save_pretrained(
        self,
        path: str | os.PathLike[str],
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Write the model as a folder of Sentence Transformers, with its prompts and settings.

        The folder appears whole or not at all; an older model in its place is replaced. In the output
        folder of a trainer, whose run stays, the files are replaced one after the other.

        Args:
            path: The folder.
            model_name: Name on the hub, for the examples of the card.
            create_model_card: Write `README.md`: the card of the folder from which the model was
                opened, or a new one.
            train_datasets: Ignored, as in the reference: the card of a run names its data.
            safe_serialization: Weights are always safetensors; ``False`` is refused.

        Raises:
            ValueError: If the folder holds anything but a model.
            NotImplementedError: If ``safe_serialization`` is false.
        """
        check_safe(safe_serialization)
        path, card = os.fspath(path), {"create": create_model_card, "id": model_name}
        if not os.path.isfile(os.path.join(path, "run", "recipe.toml")):
            self._save(path, card)
            return
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=path) as parent:
            folder = os.path.join(parent, "model")
            self._save(folder, card)
            move_entries(folder, path)

    save = save_pretrained

    def _save(self, path: str, card: dict[str, Any]) -> None:
        raise NotImplementedError

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        private: bool | None = None,
        safe_serialization: bool = True,
        commit_message: str | None = None,
        local_model_path: str | os.PathLike[str] | None = None,
        exist_ok: bool = False,
        replace_model_card: bool = False,
        train_datasets: list[str] | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Push the model to the hub in one commit.

        Args:
            repo_id: Name on the hub, ``organisation/model``.
            token: Access token. Default: that of the environment or of ``hf auth login``.
            private: Create a private repository, and refuse a public one.
            safe_serialization: Weights are always safetensors; ``False`` is refused.
            commit_message: Summary of the commit.
            local_model_path: Folder to push instead of this model, such as that of a run.
            exist_ok: Push to a repository that exists.
            replace_model_card: Replace the card of the repository. By default, as in the reference,
                a card that is there is kept, unless ``local_model_path`` is given.
            train_datasets: Ignored, as in the reference: the card of a run names its data.
            revision: Branch to push to, created if necessary.
            create_pr: Open a pull request instead of changing the branch.

        Returns:
            The page of the commit or of the pull request.

        Raises:
            FileExistsError: If the repository exists, without ``exist_ok`` and ``create_pr``.
            ValueError: If the name is not valid, or there is no token.
            NotImplementedError: If ``safe_serialization`` is false.
            OSError: If the hub cannot be reached or refuses the push.
        """
        check_safe(safe_serialization)
        with tempfile.TemporaryDirectory() as parent:
            folder = local_model_path or os.path.join(parent, "model")
            if local_model_path is None:
                self.save_pretrained(folder, repo_id)
            settings = {
                "token": token,
                "private": bool(private),
                "revision": revision,
                "message": commit_message or f"Add new {type(self).__name__} model",
                "pull_request": create_pr,
                "only_new": not exist_ok and not create_pr,
                "keep_card": not replace_model_card and local_model_path is None,
            }
            return _maana.push(folder, repo_id, settings)
