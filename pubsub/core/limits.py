"""Every limit of delivery with its unit and its reason; none is consensus-relevant.

Those of the ledger and of the gateway itself are in ``ledger/core/limits.py``.
"""

from typing import Final

# --- rights ---------------------------------------------------------------------------------
RIGHTS_PATTERNS_CACHED: Final = 4096  # compiled topic patterns of principals

# --- interests: what a subscriber wants -------------------------------------------------------
INTEREST_TOPICS_MAX: Final = 32  # topic patterns of one interest
INTEREST_FILTERS_MAX: Final = 64  # filters of one interest, nested ones included
INTEREST_DEPTH_MAX: Final = 8  # filters inside filters

# --- egress: calling strangers ----------------------------------------------------------------
EGRESS_LOOKUPS_MAX: Final = 32  # names that are looked up at one time: each holds a thread
