"""Leaves in the list of tests (given as a file) those of who gets in and how much, and what they stand on."""

import pathlib
import re
import sys

KEPT = {"access", "budget", "limits", "routes", "support", "stand_in", "hostile_answers"}

path = pathlib.Path(sys.argv[1])
kept = lambda line: line[0] if line[1] in KEPT or line[1].startswith("fake_") else ""
text = re.sub(r"^mod (\w+);\n", kept, path.read_text(), flags=re.MULTILINE)
path.write_text(text.replace("#![allow(", "#![allow(dead_code, unused_imports, ", 1))
