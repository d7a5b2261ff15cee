"""``python -m bittern.runtime``: see `bittern.runtime.child_process`."""

import sys

from bittern.runtime.child_process import main

sys.exit(main())
