"""Run by the kernel environment's own Python when it is set up: matplotlib's index of fonts.

    python kernel_fonts.py FOLDER

FOLDER gets the index, so that no session has to make it, and a matplotlibrc that names a Chinese
font behind the usual ones. That font also answers to the names that code in Chinese asks for.
Exit code 3: there is none on this machine.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    "SimSun",
    "STHeiti",
    "Arial Unicode MS",
)
PLAIN = (400, "normal", "regular")
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
    entries = sorted(fonts.ttflist, key=lambda each: (_rank(each.name), each.weight not in PLAIN))
    chinese = next((entry for entry in entries if _can_write(entry.fname, FT2Font)), None)
    if chinese is None:
        return NO_FONT
    known = {entry.name for entry in fonts.ttflist}
    fonts.ttflist += [replace(chinese, name=name) for name in PREFERRED if name not in known]
    font_manager.json_dump(fonts, folder / f"fontlist-v{fonts.__version__}.json")
    lines = [f"font.{f}: {rcParamsDefault[f'font.{f}'][0]}, {chinese.name}" for f in FAMILIES]
    lines.append(f"font.family: sans-serif, {chinese.name}")  # glyph by glyph, as they are needed
    (folder / "matplotlibrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _can_write(path: str, font_of: Callable[[str], Any]) -> bool:
    known = font_of(path).get_charmap()
    return all(ord(character) in known for character in SAMPLE)


def _rank(name: str) -> int:
    return PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
