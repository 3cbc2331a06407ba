"""PyInstaller's hook: all modules go in, for many are looked up by name, with the data and the entry points."""

from PyInstaller.utils.hooks import collect_all

datas, binaries, hiddenimports = collect_all("agent_fuse")
