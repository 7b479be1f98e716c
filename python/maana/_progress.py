"""The progress bar of long work."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("maana")


@contextmanager
def progress_bar(
    show: bool | None, count: int | None, unit: str = "Texts"
) -> Iterator[Callable[..., None] | None]:
    """Show progress by ``tqdm``, by default if logging is at INFO or DEBUG, and yield the function that
    receives the number of texts so far, and their whole number where ``count`` is ``None``.
    """
    if show is None:
        show = logger.getEffectiveLevel() in (logging.INFO, logging.DEBUG)
    if not show:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warnings.warn("show_progress_bar=True needs tqdm, which is not installed", stacklevel=4)
        yield None
        return
    with tqdm(total=count, desc=unit) as bar:

        def update(done: int, whole: int | None = count) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        yield update
