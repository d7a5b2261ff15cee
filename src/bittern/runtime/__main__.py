"""``python -m bittern.runtime``: see `bittern.runtime.worker`."""

import sys

from bittern.runtime.worker import main

sys.exit(main())
