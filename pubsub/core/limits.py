"""Every limit of delivery with its unit and its reason; none is consensus-relevant.

Those of the ledger and of the gateway itself are in ``ledger/core/limits.py``.
"""

from typing import Final

# --- processes ------------------------------------------------------------------------------
GARBAGE_OBJECTS_MAX: Final = 50_000  # new ones before cycles are looked for: some 10 MiB

# --- rights ---------------------------------------------------------------------------------
RIGHTS_PATTERNS_CACHED: Final = 4096  # compiled topic patterns of principals
TOKENS_COUNT_MAX: Final = 1_000  # API tokens of one gateway that are not revoked
TOKEN_GONE_KEPT_MAX: Final = 1_000  # revoked ones that are still listed
TOKEN_TOPICS_COUNT_MAX: Final = 64  # patterns of one token
TOKEN_FILE_BYTES_MAX: Final = 32 * 2**20  # both, each with patterns as long as they may be, halved
TOKEN_WATCH_MS: Final = 1_000  # the file of tokens is looked at so often
TOKEN_USE_WRITE_MS: Final = 60_000  # when tokens were last used is written so often
OIDC_HEADER_CHARS_MAX: Final = 2_048  # of a token, in base64url: keys inside are refused anyway
OIDC_KEY_ID_CHARS_MAX: Final = 256
OIDC_SUBJECT_CHARS_MAX: Final = 255  # OpenID Connect Core 2: at most so many
OIDC_GRANT_VALUES_MAX: Final = 1_024  # values of the claim that rights come from
AUTHORIZATION_CHARS_MAX: Final = 12_288  # of a header: less than what all headers may have

PUBLISH_RATE_MAX: Final = 10_000_000  # events a second, or at once, that may be configured
PUBLISHERS_REMEMBERED_MAX: Final = 10_000  # principals whose rate is known: others begin anew
AUDIT_RECORDS_MAX: Final = 10_000  # newest administrative acts that are kept; all are logged
AUDIT_TEXT_CHARS_MAX: Final = 512  # of one text of a record; longer ones are cut
AUDIT_PAGE_RECORDS: Final = 100
AUDIT_PAGE_RECORDS_MAX: Final = 1_000
REQUEST_ID_CHARS_MAX: Final = 64  # of a client's own X-Request-Id; others get one of ours
RETRY_AFTER_S_MAX: Final = 60  # nobody is told to wait longer: things change
RETRY_AFTER_STALLED_S: Final = 15  # while the node is full and nothing becomes final
DRAIN_WINDOW_MS: Final = 10_000  # the pace of the log is judged by so much of the past
DRAIN_SAMPLES_MAX: Final = 50  # sizes of the log that are remembered for that
QUEUE_FRESH_MS: Final = 500  # the node is asked about its queue so often
QUEUE_ASK_MS_MAX: Final = 1_000  # it may be too busy to say

PUBLISH_QUERIES_CACHED: Final = 64  # queries of publish requests: nearly all are the same few

# --- interests: what a subscriber wants -------------------------------------------------------
INTEREST_TOPICS_MAX: Final = 32  # topic patterns of one interest
INTEREST_FILTERS_MAX: Final = 64  # filters of one interest, nested ones included
INTEREST_DEPTH_MAX: Final = 8  # filters inside filters
INTEREST_QUERY_CHARS_MAX: Final = 8_192  # filters in a query; a request's head has 16 KiB

# --- streams ----------------------------------------------------------------------------------
STREAM_PIECE_BYTES: Final = 256 * 2**10  # written to a stream at one time ends where it passes this
STREAM_HIDDEN_MAX: Final = 1_000  # entries hidden by a filter before the reader's cursor is moved
WEBSOCKET_MESSAGE_BYTES_MAX: Final = 125  # a reader sends control frames alone; they have no more
WEBSOCKET_PINGS_MAX: Final = 2  # a reader that owes the answers to so many is cut off
WEBSOCKET_CLOSE_MS_MAX: Final = 2_000  # a reader that does not answer a close is cut off

# --- topics -----------------------------------------------------------------------------------
TOPICS_PAGE_MAX: Final = 1_000  # topics in one answer
COMPLETENESS_ROWS_MAX: Final = 4_096  # rows of one answer, 110 bytes each and a topic's name
COMPLETENESS_ROWS: Final = 1_000

# --- egress: calling strangers ----------------------------------------------------------------
EGRESS_LOOKUPS_MAX: Final = 32  # names that are looked up at one time: each holds a thread

# --- consumers ------------------------------------------------------------------------------
CONSUMERS_MAX: Final = 10_000  # in one gateway; 13 KiB of memory each and one entry of the index
CONSUMERS_PER_OWNER_MAX: Final = 1_000  # of one principal
CONSUMER_NAME_CHARS_MAX: Final = 64
CONSUMER_METADATA_MAX: Final = 16  # pairs
CONSUMER_METADATA_CHARS_MAX: Final = 256  # of each name and each value
CONSUMER_ACK_WAIT_MS: Final = 30_000  # an event that is not settled by then counts as failed
CONSUMER_ACK_WAIT_MS_MIN: Final = 100
CONSUMER_ACK_WAIT_MS_MAX: Final = 24 * 3_600_000
CONSUMER_IN_FLIGHT: Final = 1_000  # events given out and not settled, when not said otherwise
CONSUMER_IN_FLIGHT_MAX: Final = 10_000  # 12 bytes of each are rewritten with every transaction
CONSUMER_DELIVERIES_MAX: Final = 1_000_000  # the most attempts that can be asked for
CONSUMER_BACKOFF_MS: Final = (1_000, 5_000, 30_000, 120_000, 600_000)  # after each failure
CONSUMER_BACKOFFS_MAX: Final = 32  # steps; the last one is repeated
CONSUMER_BACKOFF_MS_MIN: Final = 100  # a loop of failures takes at least so long for each round
CONSUMER_DELAY_MS_MAX: Final = 7 * 24 * 3_600_000  # of a negative acknowledgement, and of a step
CONSUMER_INACTIVE_MS_MIN: Final = 1_000
CONSUMER_INACTIVE_MS_MAX: Final = 366 * 24 * 3_600_000
CONSUMER_REASON_CHARS_MAX: Final = 256  # why an event was given up
CONSUMER_DEAD_LETTERS_MAX: Final = 10_000  # of one consumer; when they are all there, none dies
CONSUMER_FETCH_EVENTS: Final = 100  # events of one fetch when the client does not say
CONSUMER_FETCH_EVENTS_MAX: Final = 1_000
CONSUMER_FETCH_BYTES_MAX: Final = 4 * 2**20  # entries of one fetch together
CONSUMER_FETCH_WAIT_MS: Final = 0  # a fetch waits for events when the client asks for it
CONSUMER_FETCH_WAIT_MS_MAX: Final = 60_000
CONSUMER_FETCHES_WAITING_MAX: Final = 256  # that wait at one consumer
CONSUMER_SETTLED_MAX: Final = 10_000  # events named by one settlement: all that can be in flight
CONSUMER_KNOWN_AHEAD_MAX: Final = 256  # matching sequences that are remembered for one consumer
CONSUMER_CACHE_EVENTS_MAX: Final = 2_048  # events read from the log, kept for other consumers
CONSUMER_CACHE_BYTES_MAX: Final = 4 * 2**20  # entries of these; each is held about four times
CONSUMER_POSITION_LAG_MAX: Final = 10_000  # entries passed before a position is stored
CONSUMER_LIST_MAX: Final = 1_000  # consumers or dead letters in one answer
CONSUMER_LIST: Final = 100
CONSUMER_BODY_BYTES_MAX: Final = 2**20  # a settlement of all that can be in flight

# --- webhooks ---------------------------------------------------------------------------------
WEBHOOKS_MAX: Final = 1_000  # registrations of one gateway: each has a task and a cursor
WEBHOOKS_OWNER_MAX: Final = 100  # registrations of one principal
WEBHOOK_URL_CHARS_MAX: Final = 2_048
WEBHOOK_AUTHORIZATION_CHARS_MAX: Final = 4_096  # a bearer token of the receiver's
WEBHOOK_BATCH_EVENTS_MAX: Final = 100
WEBHOOK_BATCH_EVENTS: Final = 20
WEBHOOK_BATCH_BYTES_MAX: Final = 2**20
WEBHOOK_BATCH_BYTES: Final = 2**18  # what common servers take without being told to
WEBHOOK_IN_FLIGHT_MAX: Final = 32  # requests to one endpoint at one time
WEBHOOK_IN_FLIGHT: Final = 8
WEBHOOK_RATE_MAX: Final = 1_000_000  # deliveries a minute that an endpoint may allow
WEBHOOK_KEY_BYTES: Final = 32  # Standard Webhooks: 24 to 64
WEBHOOK_KEYS_MAX: Final = 4  # keys of one kind that sign at one time: headers stay short
WEBHOOK_OVERLAP_MS: Final = 24 * 3_600_000  # a replaced key still signs for so long
WEBHOOK_OVERLAP_MS_MAX: Final = 7 * 24 * 3_600_000
WEBHOOK_TOLERANCE_S: Final = 300  # Standard Webhooks: how old or new a verified delivery may be
WEBHOOK_SIGNATURES_MAX: Final = 16  # of one header that is verified
WEBHOOK_RETRY_MS: Final = (  # Standard Webhooks: after the first attempt; the last one is final
    5_000,
    5 * 60_000,
    30 * 60_000,
    2 * 3_600_000,
    5 * 3_600_000,
    10 * 3_600_000,
    14 * 3_600_000,
    20 * 3_600_000,
    24 * 3_600_000,
)
WEBHOOK_RETRY_AFTER_MS_MAX: Final = 24 * 3_600_000  # an endpoint's own wish counts up to this
WEBHOOK_CIRCUIT_MS: Final = 1_000  # pause of an endpoint after a failure; doubles from then on
WEBHOOK_CIRCUIT_MS_MAX: Final = 5 * 60_000  # a dead endpoint costs one attempt in this time
WEBHOOK_FAILING_MS_MAX: Final = 5 * 24 * 3_600_000  # longer than the schedule: then disabled
WEBHOOK_DEADLINE_MS: Final = 10_000  # one attempt, from the name's lookup to the answer's end
WEBHOOK_ANSWER_BYTES_MAX: Final = 65_536  # read of an answer, and thrown away
WEBHOOK_DELIVERIES_MAX: Final = 128  # attempts at one time, to endpoints that answer
WEBHOOK_RETRIES_MAX: Final = 16  # attempts at one time, to endpoints that failed the last time
WEBHOOK_ATTEMPTS_KEPT: Final = 100  # last attempts of one endpoint that can be listed
WEBHOOK_IDLE_MS: Final = 20_000  # an endpoint without events keeps its connections so long
WEBHOOK_REDELIVERIES_MAX: Final = 10  # events of one manual redelivery
WEBHOOK_BODY_BYTES_MAX: Final = 2**16  # a request about a registration
WEBHOOK_TOKEN_CHARS_MAX: Final = 64  # of a consent that is given later
WEBHOOK_ACK_WAIT_MS: Final = 60_000  # several deadlines: no attempt is taken for lost while it runs
WEBHOOK_WAITING_MAX: Final = 1_000  # events of one endpoint that are sent or wait for a retry

# The console
CONSOLE_EVENTS: Final = 50  # rows of the page of events
CONSOLE_BLOCKS: Final = 12  # rows of the overview
CONSOLE_RATE_EVENTS: Final = 5_000  # newest events that rates are counted over
CONSOLE_TOPICS: Final = 1_000  # rows of the page of topics
CONSOLE_LETTERS: Final = 100  # dead letters of one page
CONSOLE_FORM_BYTES_MAX: Final = 16_384

# Receiving webhooks
RECEIVER_BODY_BYTES_MAX: Final = 2**21  # twice the largest batch
RECEIVER_SEEN_MAX: Final = 100_000  # events remembered in memory

# The client
CLIENT_FETCH_WAIT_MS_MAX: Final = 20_000  # of one fetch: less than one request may take
CLIENT_SETTLE_COUNT: Final = 100  # events that are settled together, if they are not sooner
CLIENT_SETTLE_MS: Final = 1_000  # an acknowledgement waits for others so long at most
