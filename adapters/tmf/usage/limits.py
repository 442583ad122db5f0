"""Every limit of the usage log, with its unit and its reason.

Those of the format (docs/adapters/usage.md) are the same for all who make or check blocks.
"""

from typing import Final

# --- the format -----------------------------------------------------------------------------
USAGE_RECORD_BYTES_MAX: Final = 65_536  # one usage document, as sent and in canonical form
USAGE_MEASURES_MAX: Final = 40  # of one record: its totals and those it corrects fit one block
USAGE_ID_CHARS_MAX: Final = 512  # of a record, a product or a party
USAGE_NAME_CHARS_MAX: Final = 64  # of a metric or a unit
USAGE_AMOUNT_DIGITS_MAX: Final = 30  # before the point, and again behind it
USAGE_BLOCK_RECORDS_MAX: Final = 2**20  # that a verifier takes

# --- the log, which may differ from member to member -----------------------------------------
USAGE_FUTURE_MS_MAX: Final = 5 * 60_000  # a usageDate may be ahead of the node by this much
USAGE_BLOCK_RECORDS: Final = 10_000  # a block is made of so many records,
USAGE_BLOCK_BYTES: Final = 16 * 2**20  # or of so many bytes of them,
USAGE_BLOCK_AGE_MS: Final = 60_000  # or of what there is when the oldest has waited so long
USAGE_SEGMENT_RECORDS: Final = 256  # records that are stored compressed together
USAGE_SEGMENTS_REMEMBERED: Final = 64  # while one transaction reads, 200 KiB each
USAGE_TRANSACTION_RECORDS: Final = 2_048  # records of one intake that are committed together
USAGE_TRANSACTION_BYTES: Final = 4 * 2**20  # or of so many bytes, as they came
USAGE_REFUSALS_SHOWN_MAX: Final = 1_000  # lines of one intake whose refusal is told in full
USAGE_INTAKE_MS_MAX: Final = 600_000  # one bulk intake, from its first byte to its answer
USAGE_PAGE_RECORDS: Final = 100
USAGE_PAGE_RECORDS_MAX: Final = 1_000
USAGE_TREES_REMEMBERED: Final = 4  # blocks whose hashes are kept for the next proof, 320 KiB each
USAGE_POLL_MS: Final = 1_000  # what waits is looked at at least so often
USAGE_DISPUTE_BYTES_MAX: Final = 4 * 2**20  # records of one side that are compared at one time
USAGE_DISPUTE_RECORDS_MAX: Final = 20_000  # and of the other
USAGE_PUBLISH_RETRY_MS: Final = 1_000  # pause before a block is handed in again; doubles
USAGE_PUBLISH_RETRY_MS_MAX: Final = 60_000
