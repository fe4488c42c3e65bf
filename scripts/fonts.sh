#!/bin/sh
# Makes assets/fonts from Inter (rsms.me/inter, SIL Open Font License) as Debian packs it: scripts of Europe, punctuation and the
# signs that figures need, with digits that are all as wide as each other. Needs the package fonts-inter and Python's fonttools.
set -eu
cd "$(dirname "$0")/.."
inter=/usr/share/fonts/opentype/inter
for weight in Regular SemiBold; do
    python3 - "$inter/Inter-$weight.otf" "assets/fonts/Inter-$weight.otf" <<'PYTHON'
import sys
from fontTools import subset
from fontTools.ttLib import TTFont

source, target = sys.argv[1:]
font = TTFont(source)
wide = {}
for feature in font["GSUB"].table.FeatureList.FeatureRecord:
    if feature.FeatureTag == "tnum":
        for index in feature.Feature.LookupListIndex:
            for table in font["GSUB"].table.LookupList.Lookup[index].SubTable:
                wide.update(getattr(table, "ExtSubTable", table).mapping)
for table in font["cmap"].tables:
    for digit in range(ord("0"), ord("9") + 1):
        if digit in table.cmap:
            table.cmap[digit] = wide.get(table.cmap[digit], table.cmap[digit])
options = subset.Options(layout_features=["kern", "mark", "mkmk", "ccmp"], hinting=False, desubroutinize=True)
subsetter = subset.Subsetter(options)
ranges = [(0x20, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20BF)]
signs = [0x2116, 0x2122, *range(0x2190, 0x2196), 0x2212, 0x2248, 0x2260, 0x2264, 0x2265, 0x25CF, 0xFFFD]
subsetter.populate(unicodes=[c for a, b in ranges for c in range(a, b + 1)] + signs)
subsetter.subset(font)
font.save(target)
PYTHON
done
