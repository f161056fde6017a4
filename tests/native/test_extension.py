"""The extension as a whole: found, refused, switched off, and reached end to end."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_app import native
from stream_app.events import batch
from tests.native.paths import need_native, taking
from tests.worker.world import World

ROOT = Path(__file__).parents[2]


def in_another_process(code: str, **environment: str) -> str:
    """What `code` prints in a process with these variables."""
    done = subprocess.run(
        [sys.executable, "-c", f"from stream_app import native; {code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def path_with(folder: Path, module: str) -> dict[str, str]:
    """Variables under which `module` stands in for the extension."""
    (folder / "stream_app_native.py").write_text(module)
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), inherited or str(ROOT)])}


def test_both_sides_have_the_same_interface() -> None:
    source = (ROOT / "native/src/lib.rs").read_text()
    assert re.findall(r"^const INTERFACE: u32 = (\d+);", source, re.MULTILINE) == [
        str(native.INTERFACE)
    ]


def test_it_is_used_where_it_is_built() -> None:
    need_native()
    said = in_another_process("print(native.in_use, *native.path())", STREAM_APP_NATIVE="")
    assert said == "True the compiled extension is in use"


def test_it_can_be_switched_off() -> None:
    said = in_another_process("print(native.in_use, *native.path())", STREAM_APP_NATIVE="0")
    assert said.startswith("False pure Python, because STREAM_APP_NATIVE is 0")


def test_it_need_not_be_there(tmp_path: Path) -> None:
    variables = path_with(tmp_path, "raise ImportError")
    said = in_another_process("print(native.in_use, *native.path())", **variables)
    assert said.startswith("False pure Python: the compiled extension is not installed")


@pytest.mark.parametrize("module", ["INTERFACE = 0", ""])
def test_one_of_another_version_is_not_used(tmp_path: Path, module: str) -> None:
    variables = path_with(tmp_path, module)
    said = in_another_process("print(native.in_use, *native.path())", **variables)
    assert said.startswith("False pure Python: the compiled extension has interface")
    assert said.endswith("`make native`")


async def test_a_worker_says_at_its_start_which_path_it_takes(
    both_paths: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = await World.create([])
    with caplog.at_level(logging.INFO, "stream_app.streams.worker"):
        await world.node().start()
    await world.finish()
    assert caplog.text.count(native.path()[0]) == 1


def test_both_paths_put_contacts_into_the_same_buckets() -> None:
    hashes = np.random.default_rng(5).integers(0, 2**32, 10_000, np.uint32)
    hashes[::7] = 0
    found = []
    for path in ("native", "python"):
        with taking(path):
            found.append(batch._buckets(hashes))
    assert (found[0] == found[1]).all()
    assert set(found[0].tolist()) == {*range(64), batch.NO_CONTACT}


def test_buffers_that_do_not_fit_are_refused() -> None:
    need_native()
    buckets = native.compiled.contact_buckets
    hashes, out = np.arange(4, dtype=np.uint32), np.empty(4, np.uint8)
    frozen = np.empty(4, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="the buffer has 16 bytes, not 3 values of 4 bytes"):
        buckets(hashes, out[:3])
    with pytest.raises(ValueError, match="not aligned"):
        buckets(np.empty(17, np.uint8)[1:], out)
    with pytest.raises(ValueError, match="two buffers share memory"):
        buckets(hashes, hashes.view(np.uint8)[4:8])
    with pytest.raises(ValueError, match="read-only"):
        buckets(hashes, frozen)
    with pytest.raises(ValueError, match="contiguous"):
        buckets(hashes[::2], out[:2])
    with pytest.raises(TypeError):
        buckets(None, out)
    buckets(np.empty(0, np.uint32), np.empty(0, np.uint8))
