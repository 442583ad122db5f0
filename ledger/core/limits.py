"""Every limit of the system, with its unit and its reason.

[C] marks those that decide what is valid: all members must use the same. Others may differ.
"""

from typing import Final

# --- encoding [C] ---------------------------------------------------------------------------
INT_MAX: Final = 2**63 - 1  # largest integer in any message: fits a signed 64-bit word
HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

# --- events [C] -----------------------------------------------------------------------------
ENTRY_BYTES_MAX: Final = 65_535  # one C2SP tile entry has a 16-bit length prefix
EVENT_DATA_BYTES_MAX: Final = 32_768  # inline content; larger content stays with its owner
CHAIN_ID_CHARS_MAX: Final = 80
TOPIC_CHARS_MAX: Final = 255
TOPIC_TOKENS_MAX: Final = 16
DID_CHARS_MAX: Final = 256
EVENT_TYPE_CHARS_MAX: Final = 128
SUBJECT_CHARS_MAX: Final = 512
LOCATION_CHARS_MAX: Final = 2_048
CONTENT_TYPE_CHARS_MAX: Final = 128
TAGS_COUNT_MAX: Final = 16
TAG_CHARS_MAX: Final = 64
EVENT_AGE_MS_MAX: Final = 24 * 3_600_000  # older than the block by more: refused
EVENT_FUTURE_MS_MAX: Final = 60_000  # ahead of the block by more: refused

# --- genesis [C] ----------------------------------------------------------------------------
ADDRESS_CHARS_MAX: Final = 261  # a DNS name of 253 characters, a colon, a port, brackets
VALIDATORS_COUNT_MAX: Final = 100  # votes go to all: n*n messages a round
PARTICIPANTS_COUNT_MAX: Final = 10_000
PARTICIPANT_KEYS_COUNT_MAX: Final = 32
PARTICIPANT_TOPICS_COUNT_MAX: Final = 64
GENESIS_BYTES_MAX: Final = 16 * 2**20

# --- batches and blocks [C] -----------------------------------------------------------------
BATCH_BYTES_MAX: Final = 2 * 2**20  # sum of entry lengths
BATCH_ENTRIES_MAX: Final = 4_096
BLOCK_BATCHES_MAX: Final = 16
INLINE_BYTES_MAX: Final = 32_768  # sum of inline batches of one proposal
BLOCK_DRIFT_MS_MAX: Final = 5_000  # a block may be ahead of a voter's clock by this much

# --- consensus core -------------------------------------------------------------------------
ROUND_TIMEOUT_MS: Final = 400  # base timer of a round on a local network
ROUND_TIMEOUT_ABSENT_MS: Final = 60  # when the leader's connection is known to be down
ROUND_TIMEOUT_MS_MAX: Final = 10_000  # cap of the back-off
ROUND_TIMEOUT_GRACE_ROUNDS: Final = 6  # rounds without a commit before the back-off begins
IDLE_INTERVAL_MS: Final = 2_000  # an idle leader waits this long before an empty block
ROOT_FLUSH_MS: Final = 20  # everything is final but the newest root: the next event goes first
SCHEDULE_WINDOW_ROUNDS: Final = 4  # [C] a leader schedule holds for this times n rounds
SCHEDULE_MEMORY_WINDOWS: Final = 8  # [C] a failed leader is passed over for this many windows
SCHEDULE_PERIOD_WINDOWS: Final = 16  # [C] failures are forgotten at multiples of this window
VOTES_BEHIND_ROUNDS: Final = 4  # late votes still form certificates of these past rounds
PENDING_BLOCKS_MAX: Final = 1_024  # uncommitted blocks kept in memory
ROOTS_KEPT_MAX: Final = 1_024  # ledger roots of the last executed blocks
VERIFIED_SIGNATURES_MAX: Final = 8_192  # signatures remembered as valid
VERIFIED_CERTIFICATES_MAX: Final = 256  # quorum certificates remembered as valid
EVIDENCE_COUNT_MAX: Final = 1_000
SUBMISSIONS_HELD_MAX: Final = 256  # that wait for the next epoch to begin
SYNC_INFO_INTERVAL_MS: Final = 100  # at most one answer to each straggler in this time
RECOVERY_MARGIN_ROUNDS: Final = 2  # rounds sat out beyond those proven, see recovery.py

# --- dissemination --------------------------------------------------------------------------
BATCH_INTERVAL_MS: Final = 10  # a batch is closed after this much, for each own one on the way
BATCHES_IN_FLIGHT_MAX: Final = 8, 8 * 2**20  # own batches on the way (not yet ordered); bytes
PROPOSED_BYTES_MAX: Final = 16 * 2**20  # a leader adds no more certified batches beyond this
MEMPOOL_ENTRIES_MAX: Final = 20_000  # submitted, not yet in a batch
MEMPOOL_BYTES_MAX: Final = 64 * 2**20
OPEN_BATCHES_PER_ORIGIN_MAX: Final = 64  # held for one peer and not yet ordered
ORDERED_BATCHES_REMEMBERED: Final = 8_192  # ids of batches ordered lately
REBROADCAST_INTERVAL_MS: Final = 1_000  # own batches not ordered by then are sent again
FETCH_RETRY_MS: Final = 250  # ask the next peer when an answer is this late
FETCH_DELAY_MS: Final = 30  # a missing block may still be on its way
SUBMIT_ENTRIES_MAX: Final = 4_096  # entries in one submission

# --- block sync -----------------------------------------------------------------------------
SYNC_BLOCKS_MAX: Final = 256  # blocks in one answer
SYNC_BYTES_MAX: Final = 4 * 2**20  # bytes of one answer
SYNC_BATCH_REQUESTS_MAX: Final = 8  # batches asked for at one time
SERVE_BURST: Final = 64  # requests that one peer may make at once
SERVE_INTERVAL_MS: Final = 10  # and then one in each such interval
SYNC_BLOCKS_AHEAD_MAX: Final = 1_024  # committed blocks waiting for execution before a pause

# --- transport ------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 8 * 2**20  # one bulk message: a whole answer of block sync
CONSENSUS_FRAME_BYTES_MAX: Final = 2**20  # one proposal with the certificates of 100 signers
PROTOCOL_VERSION: Final = 3  # of everything that peers say to each other
HELLO_BYTES_MAX: Final = 256  # the first frame of a connection
HANDSHAKE_MS_MAX: Final = 5_000  # TLS and greeting must be over after this
PENDING_CONNECTIONS_MAX: Final = 64  # accepted, not yet authenticated; the oldest gives way
DIAL_BACKOFF_MS: Final = 50  # first wait before dialling a peer again; doubles
DIAL_BACKOFF_MS_MAX: Final = 2_000
PEER_SILENCE_MS_MAX: Final = 15_000  # unacknowledged data or keep-alives end a connection
PEER_COOLDOWN_MS: Final = 1_000  # a peer that broke the protocol is not heard for this long
SEND_BYTES_MAX: Final = 128 * 2**10  # one write to a socket; larger ones cost more per byte
RECEIVE_BYTES_MAX: Final = 256 * 2**10  # one read from a socket
LANE_FRAMES_MAX: Final = (256, 4_096)  # waiting to be sent to one peer: consensus, bulk
LANE_BYTES_MAX: Final = (4 * 2**20, 32 * 2**20)
INBOX_FRAMES_MAX: Final = (512, 512)  # received from one peer and not yet handled, by lane
INBOX_BYTES_MAX: Final = (4 * 2**20, 8 * 2**20)

# --- node shell -----------------------------------------------------------------------------
BULK_INPUTS_MAX: Final = 64  # bulk inputs handled before votes are looked for again
EXAMINE_THREADS: Final = 2  # threads that verify the signatures of entries
EXAMINE_INLINE_ENTRIES_MAX: Final = 2  # so few are verified without a change of thread
EXAMINE_INLINE_INTERVAL_MS: Final = 1  # and no more often than this
EXAMINE_ENTRIES_MAX: Final = 4_096  # submissions verified in one call, together
COMMIT_DELAY_MS: Final = 50  # a commit that nobody waits for waits this long for company
COMMIT_BYTES_MAX: Final = 16 * 2**20  # batch bytes of one transaction of the chain store
COMMIT_AT_ONCE_BYTES_MAX: Final = 4_096  # so little is committed without a change of thread,
COMMIT_AT_ONCE_MS_MAX: Final = 4  # unless commits take longer than that
CHECKED_BATCHES_REMEMBERED: Final = 4_096, 48 * 2**20  # valid batches; bytes of what was read
CONTROL_CLIENTS_MAX: Final = 16  # gateways connected to one node
CONTROL_CLIENT_ENTRIES_MAX: Final = 16_384  # one gateway's entries that wait for an answer
CONTROL_REPLY_BYTES_MAX: Final = 16 * 2**20  # answers that a gateway has not taken yet
NODE_GARBAGE_OBJECTS_MAX: Final = 50_000  # more new objects than gone ones: look for garbage

# --- state map [C] --------------------------------------------------------------------------
STATE_KEY_BYTES_MAX: Final = 1_024  # a kind, a topic and a DID, with room
STATE_VALUE_BYTES_MAX: Final = 65_535  # a value is set by an event, which is no larger
TOPIC_RULES_MAX: Final = 64  # in force at one time: each that matches costs a block a state change

# --- proofs ---------------------------------------------------------------------------------
PROOF_EPOCHS_MAX: Final = 1_024  # changes of validators that one proof may lead through
PROOF_PATH_HASHES_MAX: Final = 63  # [C] siblings in a log of at most 2**63 - 1 entries
PROOF_HEADERS_REMEMBERED_MAX: Final = 1_024  # certified headers that a verifier does not repeat
PROOF_SEQUENCES_REMEMBERED_MAX: Final = 65_536  # events that a verifier compares later ones with

# --- transparency log -----------------------------------------------------------------------
CHECKPOINT_REFRESH_S: Final = 60  # [C] a log that does not grow is signed anew so often
CHECKPOINTS_BURST_MAX: Final = 8  # [C] checkpoints at once; one a second in the long run
CHECKPOINTS_PENDING_MAX: Final = 16  # newest checkpoints for which signatures are collected
NOTE_BYTES_MAX: Final = 256 * 2**10  # a checkpoint that 100 validators signed, many times
NOTE_SIGNATURES_MAX: Final = 256
POLICY_BYTES_MAX: Final = 256 * 2**10
POLICY_NAMES_MAX: Final = 1_024  # witnesses and groups of one policy

# --- gateway --------------------------------------------------------------------------------
GATEWAY_BODY_BYTES_MAX: Final = 4 * 2**20  # one request body: bulk and batch
GATEWAY_EVENT_BODY_BYTES_MAX: Final = 256 * 2**10  # one CloudEvent as JSON, base64 included
GATEWAY_BODIES_BYTES_MAX: Final = 64 * 2**20  # all request bodies held at one time
GATEWAY_BODY_READ_MS_MAX: Final = 10_000  # a body must have arrived after this long
GATEWAY_HEADER_BYTES_MAX: Final = 16 * 2**10  # request line and headers of one request
GATEWAY_HEADER_READ_MS_MAX: Final = 10_000  # they must have arrived after this long
GATEWAY_CONNECTIONS_MAX: Final = 4_096  # open HTTP connections, streams included
GATEWAY_STREAMS_MAX: Final = 1_024  # open event streams, 25 KiB each
GATEWAY_WAITS_MAX: Final = 4_096  # publish requests that wait for finality
GATEWAY_WAIT_MS: Final = 10_000  # how long ?wait= waits when the client does not say
GATEWAY_WAIT_MS_MAX: Final = 60_000  # the longest wait a client may ask for
GATEWAY_PAGE_EVENTS: Final = 100  # events of one page when the client does not say
GATEWAY_PAGE_EVENTS_MAX: Final = 1_000
GATEWAY_PAGE_BYTES_MAX: Final = 4 * 2**20  # a page ends when its entries reach this much
GATEWAY_PROPOSALS_MAX: Final = 100  # open proposals that one answer shows
GATEWAY_SCAN_ENTRIES: Final = 50_000  # log entries that one read transaction looks at
GATEWAY_SCAN_MS_MAX: Final = 1_000  # a page that was filtered this long ends where it is
GATEWAY_READERS_MAX: Final = 8  # threads that read the store
GATEWAY_JSON_DEPTH_MAX: Final = 32  # nesting of a JSON body
GATEWAY_FEED_EVENTS_MAX: Final = 4_096  # newest events kept encoded for the streams
GATEWAY_FEED_BYTES_MAX: Final = 16 * 2**20
GATEWAY_STREAM_PAGE_EVENTS: Final = 256  # events written to one stream at a time
GATEWAY_STREAM_SEND_MS_MAX: Final = 30_000  # a stream whose reader takes nothing is closed
GATEWAY_HEARTBEAT_MS: Final = 15_000  # a silent stream gets a comment line
GATEWAY_RETRY_MS: Final = 1_000  # a broken stream should be opened again after this
GATEWAY_POLL_MS: Final = 250  # look at the store at least so often, with or without the node
GATEWAY_STALL_MS: Final = 5_000  # a newest block older than this is called a stall
GATEWAY_IDLE_MS_MAX: Final = 65_000  # a kept-alive connection; longer than clients keep theirs
GATEWAY_SHUTDOWN_MS: Final = 5_000  # requests under way may take this long to end
CONTROL_REQUESTS_MAX: Final = 4_096  # requests to the node that wait for its answer
CONTROL_BYTES_MAX: Final = 64 * 2**20  # bytes of them
CONTROL_TIMEOUT_MS: Final = 5_000  # the node must have answered after this long
CONTROL_RECONNECT_MS: Final = 50  # wait before the first attempt to reconnect
CONTROL_RECONNECT_MS_MAX: Final = 2_000  # cap of its back-off

# --- keys and configuration of a member -----------------------------------------------------
KEY_FILE_BYTES_MAX: Final = 16_384
PASSWORD_BYTES_MAX: Final = 1_024
KEY_SCRYPT_N: Final = 2**18  # 256 MiB and about a second for each guess at a password
KEY_SCRYPT_R: Final = 8
KEY_SCRYPT_P: Final = 1
CONFIG_BYTES_MAX: Final = 1_048_576
PROOF_FILE_BYTES_MAX: Final = 2**20  # a proof in its JSON form, several times the largest
SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path of Linux, without its closing zero
STOP_DEADLINE_S: Final = 10  # a child process that was asked to end is killed after this

# --- state and chain store ------------------------------------------------------------------
TOPIC_RIGHTS_REMEMBERED_MAX: Final = 1_024  # topics whose rights, a participant, or rules are known
STATES_REMEMBERED_MAX: Final = 4  # state roots whose decoded participants are kept
STORE_MAP_BYTES: Final = 2**40  # address space of one environment, not disk: never resized
STORE_READERS_MAX: Final = 256  # read transactions open at one time, in all processes
SAFETY_FILE_BYTES: Final = 32 * 2**10  # of each safety file at first; writes of more make it grow
INDEX_KEY_BYTES_MAX: Final = 255  # a longer value is indexed by its digest
SCAN_TOPICS_MAX: Final = 1_024  # a pattern for more topics is a filter, not an index

# --- client library -------------------------------------------------------------------------
CLIENT_CALL_MS_MAX: Final = 30_000  # one request; above the longest default wait of a gateway
CLIENT_GIVE_UP_MS: Final = 60_000  # all attempts of one call together, when not said otherwise
CLIENT_BACKOFF_MS: Final = 100  # pause before the second attempt; doubles from then on
CLIENT_BACKOFF_MS_MAX: Final = 5_000
CLIENT_PROOF_RETRY_MS: Final = 10  # a proof is ready one or two blocks after its event
CLIENT_PROOF_RETRY_MS_MAX: Final = 500
CLIENT_ANSWER_BYTES_MAX: Final = 32 * 2**20  # a page of 1,000 events as JSON, with room
CLIENT_BULK_EVENTS_MAX: Final = 1_024  # events of one bulk request
CLIENT_BULK_BYTES_MAX: Final = 2**20  # a bulk request ends when its entries reach this much
CLIENT_PAGE_EVENTS: Final = 500
CLIENT_STREAM_LINE_BYTES_MAX: Final = 2**20  # one event as JSON with everything escaped
CLIENT_STREAM_SILENCE_MS_MAX: Final = 45_000  # three missed heartbeats: the stream is dead

# --- trust framework [C] --------------------------------------------------------------------
LIST_CHANGES_COUNT_MAX: Final = 64  # entries changed by one operation
LIST_ID_CHARS_MAX: Final = 400  # a DID, a slash and an attribute's digest; fits LMDB's keys
LIST_KIND_CHARS_MAX: Final = 32
LIST_BODY_DEPTH_MAX: Final = 32  # nesting of a JSON body: the same on every Python
PARAMETER_NAME_CHARS_MAX: Final = 64
PROPOSALS_OPEN_MAX: Final = 256  # proposals of one governor that are neither done nor expired
PROPOSAL_LIFE_MS_MAX: Final = 90 * 24 * 3_600_000
OVERLAY_VALUES_REMEMBERED_MAX: Final = 16_384  # values read while a block is applied
OVERLAY_VALUE_BYTES_MAX: Final = 2_048  # larger ones are read again

# --- EBSI facade ----------------------------------------------------------------------------
EBSI_PAGE_ITEMS: Final = 10  # EBSI's own numbers
EBSI_PAGE_ITEMS_MAX: Final = 50
EBSI_BODY_BYTES_MAX: Final = 256 * 2**10  # a signed transaction names its 32 KiB of data thrice
EBSI_BATCH_CALLS_MAX: Final = 50  # calls of one JSON-RPC batch
EBSI_DOCUMENTS_MAX: Final = 1_000_000  # entities of the log served as documents, 250 bytes each
EBSI_DOCUMENT_EVENTS_MAX: Final = 10_000  # events of one document that are searched by their hash
EBSI_INDEX_SLICE_EVENTS: Final = 2_000  # log entries indexed in one read transaction
EBSI_TRANSACTIONS_MAX: Final = 65_536  # newest transactions whose receipts are found by hash
EBSI_PENDING_MAX: Final = 1_024  # transactions handed in whose outcome is not known yet

# --- FIWARE and DOME registries -------------------------------------------------------------
REGISTRY_PAGE_ITEMS: Final = 10  # FIWARE's own numbers
REGISTRY_PAGE_ITEMS_MAX: Final = 100
REGISTRY_PAGE_NUMBER_MAX: Final = 2**31 - 1  # a 32-bit integer in both descriptions
REGISTRY_BODY_BYTES_MAX: Final = 96 * 2**10  # an operation of 32 KiB, with generous white space

# --- credentials and access tokens ----------------------------------------------------------
TOKEN_CHARS_MAX: Final = 64 * 2**10  # a token or presentation with its credentials inside
TOKEN_HEADER_CHARS_MAX: Final = 32 * 2**10  # mostly its chain of certificates
PRESENTATION_CREDENTIALS_MAX: Final = 4
PRESENTATION_LIFE_MS_MAX: Final = 5 * 60_000  # counted from `iat`; it is remembered for as long
PRESENTATIONS_REMEMBERED_MAX: Final = 65_536  # 100 bytes each; more at one time are refused
TOKEN_SKEW_MS: Final = 30_000  # a clock of others may be ahead of ours by this much
TOKEN_LIFE_MS: Final = 2 * 3_600_000  # EBSI's own number
TOKEN_KEY_LIFE_MS: Final = 30 * 24 * 3_600_000  # a key signs for this long
TOKEN_KEY_AHEAD_MS: Final = 24 * 3_600_000  # and is published for this long before
TOKEN_ROTATION_MS: Final = 60 * 60_000  # how often rotation is looked at
MANDATE_POWERS_MAX: Final = 256  # function and action pairs
CERTIFICATES_COUNT_MAX: Final = 5  # of one `x5c`
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 4_096
JWKS_KEYS_MAX: Final = 64
JWKS_FRESH_MS: Final = 5 * 60_000  # fetched again when older
JWKS_STALE_MS_MAX: Final = 60 * 60_000  # used so long when it cannot be fetched again
JWKS_RETRY_MS: Final = 30_000  # an unknown `kid` makes us fetch again, but not more often
STATUS_FRESH_MS: Final = 60_000  # a status list is fetched again when older
STATUS_LIST_BYTES_MAX: Final = 2**20  # unpacked: eight million credentials
FETCH_BYTES_MAX: Final = 256 * 2**10  # one document from outside
FETCH_MS_MAX: Final = 10_000  # resolving, connecting, reading
FETCHES_MAX: Final = 8  # at one time
FETCHED_REMEMBERED_MAX: Final = 256  # documents

# --- DOME's DLT adapter ---------------------------------------------------------------------
DLT_SUBSCRIPTIONS_MAX: Final = 64  # of one gateway, ended ones included
DLT_EVENT_TYPES_MAX: Final = 256  # of one subscription
DLT_ENDPOINT_CHARS_MAX: Final = 2_048
DLT_NOTIFY_MS_MAX: Final = 10_000  # one notification, from the name's resolution to the status
DLT_NOTIFY_ANSWER_BYTES_MAX: Final = 4_096  # read of an endpoint's answer, and thrown away
DLT_RETRY_MS: Final = 250  # pause after the first failed notification; doubles from then on
DLT_RETRY_MS_MAX: Final = 30_000
DLT_REFUSALS_MAX: Final = 4  # an event that an endpoint refuses so often is not sent again
DLT_REFUSED_KEPT_MAX: Final = 1_000  # newest refused notifications that are remembered
DLT_SILENCE_MS_MAX: Final = 24 * 3_600_000  # an endpoint that takes nothing so long is given up
DLT_SLICE_EVENTS: Final = 64  # notifications made of the log at one time, a subscription
DLT_OUTBOX_MAX: Final = 10_000  # events taken from clients and not final yet
DLT_OUTBOX_BATCH: Final = 64  # of them handed in at one time
DLT_OUTBOX_WAIT_MS: Final = 2_000  # handed in again when not final so long: a node may lose them
DLT_LISTED_ENTITIES_MAX: Final = 100_000  # entities that one answer of `events` lists

# --- snapshots: how a member joins ----------------------------------------------------------
SNAPSHOT_CHUNK_BYTES: Final = 4 * 2**20  # an answer ends when its items reach it, and not before:
SNAPSHOT_CHUNK_ITEMS: Final = 16_384  # or at so many; members must agree on both
SNAPSHOT_COMMIT_BYTES: Final = 32 * 2**20  # verified entries held in memory before they are written
SNAPSHOT_READERS_MAX: Final = 2  # threads of a gateway that read for joining members
SNAPSHOT_GAP_BLOCKS_MAX: Final = 2_048  # blocks between a ledger and the header that certifies it
SNAPSHOT_AGE_MS_MAX: Final = 3_600_000  # an older ledger is taken only when that was asked for

# --- the access node's Desmos-compatible replication ----------------------------------------
DESMOS_JSON_DEPTH_MAX: Final = 64  # nesting of an entity that is hashed
DESMOS_OFFERS_MAX: Final = 100_000  # entities in one discovery
DESMOS_BODY_BYTES_MAX: Final = 32 * 2**20  # a discovery, sent or received
DESMOS_ENTITIES_BYTES_MAX: Final = 32 * 2**20  # entities with all that belongs to them
DESMOS_NOTIFICATION_BYTES_MAX: Final = 64 * 2**10
DESMOS_SUB_ENTITIES_MAX: Final = 256  # that one entity refers to, and these again
DESMOS_REFERENCES_MAX: Final = 1_024  # that are looked up for one entity and all that it refers to
DESMOS_HASHES_REMEMBERED_MAX: Final = 100_000  # of entities, for the next discovery
DESMOS_SYNC_IDS: Final = 100  # entities that one request of ours asks for
DESMOS_SYNC_IDS_MAX: Final = 1_000  # entities that one request of others may ask for
DESMOS_CALL_MS_MAX: Final = 60_000  # one exchange with a peer
DESMOS_AUDIT_PAGE_MAX: Final = 1_000  # records of the audit in one answer
DESMOS_TOKEN_EARLY_MS: Final = 30_000  # a token is replaced so long before it ends
DESMOS_SHELF_PAGE: Final = 1_000  # entities read at one time for a discovery
DESMOS_VERSIONS_MAX: Final = 64  # newest changes in which a published version is looked for
DESMOS_SYNC_RETRY_MS: Final = 60_000  # pause after a synchronisation that failed

# --- the TM Forum access node's store and queries --------------------------------------------
TMF_LEAF_HEAD_BYTES: Final = 128  # of a value in the index: PostgreSQL bounds an index row
TMF_PATH_CHARS_MAX: Final = 512  # a longer path is not indexed, and cannot be asked for
TMF_ID_CHARS_MAX: Final = 512  # of an entity: PostgreSQL bounds an index row
TMF_PATHS_CACHED_MAX: Final = 65_536  # numbers of paths kept in memory
TMF_FOUND_MAX: Final = 10_000  # entities in one answer when no limit was asked for
TMF_STORE_READERS_MAX: Final = 8  # connections that read at one time
TMF_STORE_THREADS_MAX: Final = 16  # that read, write, or wait for their turn
TMF_STORE_WAIT_MS_MAX: Final = 10_000  # for the one writer's turn, or for a connection
TMF_STATEMENT_MS_MAX: Final = 30_000  # one statement that reads; of PostgreSQL, any
TMF_STATEMENT_ROWS_MAX: Final = 500  # ids in one statement
TMF_QUERY_CHARS_MAX: Final = 16_384  # of one list request, as it was sent
TMF_CONDITIONS_MAX: Final = 100  # comparisons of one query: ids of a page of references
TMF_REGEX_CHARS_MAX: Final = 256
TMF_REGEXES_MAX: Final = 4  # of one query: each may read every value at its path
TMF_SORT_KEYS_MAX: Final = 8
TMF_FIELDS_MAX: Final = 256  # as many as an object may have attributes
TMF_OFFSET_MAX: Final = 2**31 - 1
TMF_CHANGE_POLL_MS: Final = 1_000  # another process may write the journal: looked at so often
TMF_JOURNAL_STEP_CHANGES: Final = 500  # old lines of the journal deleted in one transaction
TMF_JOURNAL_KEPT_MS: Final = 30 * 86_400_000  # unless the operator says otherwise
TMF_JOURNAL_PAUSE_MS: Final = 20  # between two of these
TMF_JOURNAL_PASS_MS: Final = 60_000  # between looking for old lines

# --- access node: replication of catalogues -------------------------------------------------
REPLICATION_RETRY_MS: Final = 1_000  # pause after the first failed fetch; doubles from then on
REPLICATION_RETRY_MS_MAX: Final = 5 * 60_000
REPLICATION_FAULTS_MAX: Final = 5  # a version whose origin is at fault so often is quarantined
REPLICATION_FETCH_MS_MAX: Final = 10_000  # one fetch, from the name's resolution to the last byte
REPLICATION_FETCHES_MAX: Final = 64  # at one time
REPLICATION_FETCHES_PER_ORIGIN_MAX: Final = 4  # a slow origin holds up no more than these
REPLICATION_HOSTS_MAX: Final = 256  # hosts with open connections
REPLICATION_BATCH_EVENTS: Final = 500  # events of the ledger taken in one transaction
REPLICATION_BATCH_STORED: Final = 64  # fetched entities stored in one transaction
REPLICATION_OUTBOX_EVENTS: Final = 256  # own events on their way to the ledger at one time
REPLICATION_UNNOTED_CHANGES: Final = 1_024  # others' lines of the journal passed before noting it
REPLICATION_VERSION_KEPT_MS: Final = 24 * 3_600_000  # a superseded version is served so long
REPLICATION_PROOF_LIFE_MS: Final = 60_000  # a proof of identity is good for one request
REPLICATION_PROOFS_REMEMBERED_MAX: Final = 32_768  # of one member; more at one time are refused
REPLICATION_MEMBER_FRESH_MS: Final = 60_000  # a member's keys are read again when older
REPLICATION_LOOKUPS_MAX: Final = 8  # members looked up on the ledger at one time
REPLICATION_MEMBERS_REMEMBERED_MAX: Final = 1_024
REPLICATION_REPAIR_MS: Final = 15 * 60_000  # how often replicas are compared with the ledger
REPLICATION_PAGE_ITEMS_MAX: Final = 500  # lines of the quarantine that one answer lists
REPLICATION_STATUS_MS_MAX: Final = 2_000  # a gateway is asked how long the ledger is
REPLICATION_SELECTION_BYTES_MAX: Final = 64 * 2**10  # a part of the catalogue, by identifiers

# --- TM Forum entities ----------------------------------------------------------------------
TMF_ENTITY_BYTES_MAX: Final = 256 * 2**10  # one entity in canonical form: what a fetch may bring
TMF_DEPTH_MAX: Final = 32  # nesting of an entity: as deep as any body of a gateway
TMF_VALUES_MAX: Final = 8_192  # objects, arrays and leaves of one entity: each leaf is a row
TMF_ATTRIBUTES_MAX: Final = 256  # of one object
TMF_ARRAY_ITEMS_MAX: Final = 1_024
TMF_NAME_CHARS_MAX: Final = 128  # of an attribute
TMF_STRING_CHARS_MAX: Final = 128 * 2**10  # a credential or a small attachment
TMF_PATCH_OPERATIONS_MAX: Final = 64  # of one JSON patch; the entity is measured after each

# --- the access node's hub and jobs ---------------------------------------------------------
TMF_BODY_BYTES_MAX: Final = 2**20  # a request; more than an entity may have in canonical form
TMF_HUB_REGISTRATIONS_MAX: Final = 1_000  # of one node, ended ones included
TMF_HUB_CALLBACK_CHARS_MAX: Final = 2_048
TMF_HUB_QUERY_CHARS_MAX: Final = 4_096
TMF_HUB_SLICE: Final = 64  # changes that are matched at one time
TMF_HUB_PENDING_MAX: Final = 64  # events that wait for one registration before it reads for itself
TMF_HUB_SHARED_CHANGES: Final = 4_096  # who is further behind at the start reads for itself
TMF_HUB_IDLE_MS: Final = 5_000  # positions that moved past what is for others, so often
TMF_HUB_FLUSH_MS: Final = 100  # positions that moved are written together, so often
TMF_HUB_DELIVERIES_MAX: Final = 64  # at one time, to callbacks that answer
TMF_HUB_RETRIES_MAX: Final = 16  # at one time, to callbacks that failed the last time
TMF_HUB_STORE_RETRY_MS: Final = 1_000  # pause while the database cannot be reached
TMF_HUB_CATCHING_UP_MAX: Final = 2  # registrations that read the journal for themselves, at a time
TMF_HUB_ANSWER_BYTES_MAX: Final = 4_096  # read of a callback's answer, and thrown away
TMF_HUB_DELIVERY_MS_MAX: Final = 10_000  # one event, from the name's resolution to the status
TMF_HUB_RETRY_MS: Final = 500  # pause after the first failure; doubles from then on
TMF_HUB_RETRY_MS_MAX: Final = 10 * 60_000
TMF_HUB_RETRY_AFTER_MS_MAX: Final = 24 * 3_600_000  # a callback's own wish counts up to this
TMF_HUB_SILENCE_MS_MAX: Final = 7 * 24 * 3_600_000  # a callback that takes nothing is given up
TMF_JOB_BYTES_MAX: Final = 64 * 2**20  # of a file that is imported
TMF_JOB_FETCH_MS_MAX: Final = 60_000  # from the name's resolution to the last byte
TMF_JOB_LINES: Final = 200  # entities that an import writes in one transaction
TMF_JOB_PAGE: Final = 500  # entities that an export reads at one time
TMF_JOB_STARTS_MAX: Final = 3  # a job during which the node ended so often is not started again
TMF_JOB_POLL_MS: Final = 250  # how often new jobs are looked for
TMF_JOB_READ_BYTES: Final = 65_536  # of an exported file, read and sent at one time
TMF_JOBS_MAX: Final = 1_000  # jobs that a node keeps, with their files

# --- access node: policies and what they believe --------------------------------------------
TMF_VERDICTS_MAX: Final = 4_096  # verdicts on certificates that are remembered
TMF_VERDICTS_NEEDED_MAX: Final = 64  # certificates that one transaction may need verified
TMF_LEDGER_READS_MAX: Final = 512  # values of the ledger that one question may need
TMF_LEDGER_REMEMBERED_MAX: Final = 16_384  # values that are remembered
TMF_LEDGER_CHILDREN_MAX: Final = 256  # attributes of one issuer
TMF_LEDGER_STALE_MS_MAX: Final = 5 * 60_000  # a gateway's state of the past that is believed
TMF_HEALTH_MS_MAX: Final = 2_000  # one check of what the node needs
TMF_CONNECTIONS_MAX: Final = 1_024  # HTTP connections of the access node at one time
