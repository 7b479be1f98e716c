"""The time and the content of `import maana`."""

from __future__ import annotations

import subprocess
import sys

import maana


def test_an_import_loads_neither_numpy_nor_the_native_module():
    script = "import sys, maana; print(sorted({'numpy', 'torch', 'maana._maana', 'maana.model'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


def test_every_name_can_be_imported():
    assert all(getattr(maana, name) is not None for name in maana.__all__)
    assert set(maana.__all__) <= set(dir(maana)) and maana.__version__
    script = "import maana; print(maana.losses.MSELoss(), maana.util.cos_sim([[1.0]], [[2.0]]))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "MSELoss() [[1.]]\n"


def test_a_name_that_does_not_exist_is_an_attribute_error():
    assert not hasattr(maana, "Encoder")
