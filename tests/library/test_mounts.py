"""A network file system is told by the mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from mplus_cli.library.mounts import network_file_system

TABLE = r"""21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:40 / /net rw shared:1 - nfs4 server:/export rw,vers=4.2
31 30 8:2 / /net/local rw - xfs /dev/sdb1 rw
32 21 0:41 / /with\040space rw - cifs //server/share rw
33 21 0:42 / /twice rw - nfs old:/ rw
34 21 8:3 / /twice rw - ext4 /dev/sdc1 rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", None),
        ("/net", "nfs4"),
        ("/net/home/me", "nfs4"),
        ("/network", None),
        ("/net/local/me", None),
        ("/with space/me", "cifs"),
        ("/twice/me", None),
    ],
)
def test_the_last_mount_on_the_longest_path_counts(
    tmp_path: Path, folder: str, kind: str | None
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert network_file_system(Path(folder), table) == kind


def test_where_there_is_no_table_nothing_is_known(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") is None
