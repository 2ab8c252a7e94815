"""Run by the kernel environment's own Python when it is set up: matplotlib's index of fonts.

    python kernel_fonts.py FOLDER

FOLDER gets the index, so that no session has to make it, and a matplotlibrc that names a Chinese
font behind the usual ones. Exit code 3: there is none on this machine.
"""

import os
import sys
from pathlib import Path

NO_FONT = 3
SAMPLE = "中文图"
PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "SimHei",
)
FAMILIES = ("sans-serif", "serif", "monospace")


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    os.environ["MPLCONFIGDIR"] = str(folder)
    from matplotlib import font_manager, rcParamsDefault
    from matplotlib.ft2font import FT2Font

    fonts = font_manager.fontManager
    own = [*Path(sys.prefix).glob("lib/python*/site-packages/mplfonts/fonts/NotoSansCJKsc-*.otf")]
    for path in own:
        fonts.addfont(path)
    font_manager.json_dump(fonts, folder / f"fontlist-v{fonts.__version__}.json")
    entries = sorted(fonts.ttflist, key=lambda entry: _rank(entry.name))
    for entry in entries:
        known = FT2Font(entry.fname).get_charmap()
        if all(ord(character) in known for character in SAMPLE):
            lines = [f"font.{f}: {rcParamsDefault[f'font.{f}'][0]}, {entry.name}" for f in FAMILIES]
            (folder / "matplotlibrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
            return 0
    return NO_FONT


def _rank(name: str) -> int:
    return PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
