//! Every size, count and wait that the program works within, each with the reason for its number.

use std::time::Duration;

mod staff;
pub use staff::*;

/// RIV TA contracts treat an HSA-id as opaque text of at most 64 characters (eRemiss).
pub const HSA_ID_BYTES_MAX: usize = 64;

/// One whole message. Five files of 20 MB are 134 MB as base64; the rest is the form.
pub const MESSAGE_BYTES_MAX: u64 = 160 * 1024 * 1024;

/// What is left of a message when the files in it have gone to disk: a 20 000 character text of
/// four-byte characters written as character references is about 200 KB.
pub const SKELETON_BYTES_MAX: usize = 1024 * 1024;

/// The part of an envelope that must hold the header and the first element of the body.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Nested elements. The deepest contract known here uses 12; parsers of peers break at thousands.
pub const XML_DEPTH_MAX: usize = 64;

/// Attributes of one element.
pub const XML_ATTRIBUTES_MAX: usize = 64;

/// Namespace declarations of one element.
pub const XML_NAMESPACES_MAX: usize = 32;

/// One attached file, decoded (1177: 20 MB).
pub const ATTACHMENT_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Files in one message from the complainant (1177: 5).
pub const COMPLAINANT_ATTACHMENTS_MAX: usize = 5;

/// Files in one message from the handler (1177: 10).
pub const HANDLER_ATTACHMENTS_MAX: usize = 10;

/// Characters in the description and in every other longer text (contract table).
pub const TEXT_CHARS_MAX: usize = 20_000;

/// Characters in a one-line field: names, addresses, identities.
pub const LINE_CHARS_MAX: usize = 500;

/// Codes in one list of a message: more than every code of the national lists together.
pub const CODES_MAX: usize = 100;

/// The TLS handshake, from the accepted connection to the verified certificate.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// From an idle connection's first byte to the end of the request's head.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(15);

/// A sender of a body that gives nothing for this long is gone.
pub const BODY_IDLE_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of a body for each second that its sender lets us wait, beyond the first
/// [`BODY_IDLE_TIME_MAX`]: a tenth of the slowest line in use, and far more than a sender gives that
/// only means to hold its place.
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 8 * 1024;

/// Open connections on the `https` door, each one open file. Each costs memory for TLS records and buffers.
pub const CONNECTIONS_MAX: usize = 2048;

/// Connections in their TLS handshake or waiting to begin it, each of which costs a millisecond or two
/// of one core: the last of them waits for about half a second. What comes beyond is closed at once,
/// as a handshake that waits longer than its caller is work for nothing.
pub const HANDSHAKES_MAX: usize = 256;

/// Handshakes that are begun at once; the next begins when all other work has had its turn. One would
/// do; with more, one that waits for a processor does not hold up the other processors.
pub const HANDSHAKE_TURNS: usize = 2;

/// How long a handshake that is next waits for room behind the door. Somebody new who cannot be served
/// costs more than ten who are, so few are let in to be told so: 100 a second, the last of
/// [`HANDSHAKES_MAX`] within three seconds.
pub const HANDSHAKE_ROOM_WAIT: Duration = Duration::from_millis(20);

/// How often room is looked for meanwhile.
pub const HANDSHAKE_ROOM_LOOK: Duration = Duration::from_millis(1);

/// Places of calls, one part in so many, that only connections which are open get.
pub const CALLS_KEPT_PART: usize = 4;

/// What one address gets of a door's connections and handshakes, eighths: never all of them.
pub const ADDRESS_SHARE_EIGHTHS: usize = 6;

/// Connections that wait to be accepted, while another process takes over or all processors are
/// busy. More than the kernel's own bound (`net.core.somaxconn`) is that bound.
pub const LISTEN_BACKLOG: u32 = 4096;

/// Messages being read at once; each holds at most [`SKELETON_BYTES_MAX`] in memory.
pub const CALLS_IN_FLIGHT_MAX: usize = 128;

/// What a sender is told to wait when there are too many calls or the store takes nothing: a burst is
/// over by then, and a disk is looked at each second.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long a graceful stop waits for what was begun.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(25);

/// How quiet a connection must be before it is closed when another process takes over. Whoever sends
/// more often than this hears `Connection: close` in an answer, and never sends into a closing one.
pub const LEAVE_QUIET_TIME: Duration = Duration::from_secs(2);

/// How long calls that are passed on go on in a process whose store another one has taken over.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(300);

/// One word of a hand-over between two processes; each is said at once or not at all.
pub const HAND_OVER_WORD_TIME_MAX: Duration = Duration::from_secs(10);

/// Until the store of the process that leaves is closed: its deliveries and its calls have
/// [`STOP_TIME_MAX`] each, its admin door [`ADMIN_STOP_TIME_MAX`], closing the store the rest.
pub const HAND_OVER_FREE_TIME_MAX: Duration = Duration::from_secs(90);

/// Until the process that takes over has opened the store. Views that must be made again take a
/// minute for some millions of records.
pub const HAND_OVER_READY_TIME_MAX: Duration = Duration::from_secs(600);

/// What the process that leaves says of its doors; three of them are 200 bytes.
pub const HAND_OVER_BYTES_MAX: usize = 4096;

const _: () = assert!(
    2 * STOP_TIME_MAX.as_secs() + ADMIN_STOP_TIME_MAX.as_secs() < HAND_OVER_FREE_TIME_MAX.as_secs()
);

/// One call to a producer when its system sets no timeout of its own (the platform's figure).
pub const PRODUCER_TIME_DEFAULT: Duration = Duration::from_secs(29);

/// Connecting to a producer (the platform's figure).
pub const PRODUCER_CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// What is read of a producer's answer to a delivery; a result is about 1 KB.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

const _: () = assert!(SKELETON_BYTES_MAX as u64 <= MESSAGE_BYTES_MAX);
const _: () = assert!(HEAD_BYTES_MAX <= SKELETON_BYTES_MAX);
// Five files of the largest size, as base64 with line breaks, fit in one message.
const _: () = assert!(
    COMPLAINANT_ATTACHMENTS_MAX as u64 * ATTACHMENT_BYTES_MAX / 3 * 4 / 76 * 78
        + SKELETON_BYTES_MAX as u64
        <= MESSAGE_BYTES_MAX
);

/// One file of the routing folder. 100 000 routes and 300 000 permissions are about 60 MB of TOML.
pub const ROUTING_FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// An unused connection to a producer is closed after this long: shorter than the minute after
/// which common servers close theirs, so that a call seldom meets a connection just being closed.
pub const PRODUCER_IDLE_TIME_MAX: Duration = Duration::from_secs(25);

/// Unused connections kept to one producer: as many as it may have calls, as each one that is closed
/// too early costs both sides a handshake, which is dearer than ten calls.
pub const PRODUCER_IDLE_CONNECTIONS_MAX: usize = PRODUCER_CALLS_MAX;

/// The settings file. The example with all its comments is about 5 KB.
pub const SETTINGS_BYTES_MAX: u64 = 1024 * 1024;
/// All files of a routing folder together: a national TAK (100 000 routes, 300 000 permissions) is
/// about 90 MB as TOML.
pub const TAK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Files in a routing folder.
pub const TAK_FILES_MAX: usize = 10_000;

/// Findings that are shown of one routing folder; nobody reads more at once.
pub const TAK_FINDINGS_MAX: usize = 10_000;

/// Levels of an organisation tree that routing climbs. The deepest branch of HSA is below 20.
pub const TAK_CLIMB_STEPS_MAX: usize = 64;

/// A logical address in a call; TAK holds at most 255, and two joined by `#` may come.
pub const LOGICAL_ADDRESS_CHARS_MAX: usize = 1024;
/// Characters of a called contract's namespace in the log and in spans. The longest of the national
/// contracts have about 110; what a caller writes may be the whole head of a message.
pub const CONTRACT_CHARS_SHOWN_MAX: usize = 200;
/// Characters of what a call came to, in its log line: a producer's URL and the chain of causes, not
/// a flood that a caller or a producer wrote.
pub const OUTCOME_CHARS_SHOWN_MAX: usize = 1000;
/// Files in one message before it is refused as an attack. Above the contracts' counts, so that a
/// few too many are answered with the rule that they break.
pub const MESSAGE_FILES_MAX: usize = 32;

/// The qualified name of an element or attribute; the longest of a known contract is under 60.
pub const XML_NAME_BYTES_MAX: usize = 256;

/// Elements in one document: the largest list of codes and every field come to under 3 000.
pub const XML_ELEMENTS_MAX: usize = 10_000;

/// Characters of a fault's text and detail that are kept from another's answer.
pub const FAULT_CHARS_MAX: usize = 2_000;

/// What is read of an answer from 1177 Inkorg; a result is about 1 KB.
pub const INBOX_ANSWER_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(HANDLER_ATTACHMENTS_MAX < MESSAGE_FILES_MAX);
/// A file of certificates or revocation lists. Large authorities' lists are a few megabytes.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Certificates from a leaf to its root; SITHS uses three.
pub const CHAIN_LENGTH_MAX: usize = 8;

/// How long a revocation list is used past its `nextUpdate`: until the next working morning.
pub const LIST_GRACE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// After the first sign of a changed file: long enough for the others of the same change.
pub const WATCH_QUIET: Duration = Duration::from_millis(500);

/// Certificate files are looked at this often even when no change was reported (network disks).
pub const WATCH_POLL: Duration = Duration::from_secs(60);

/// A kept connection without a request. Longer than the platform's five minutes, so that the
/// platform closes first and never writes a request into a closing connection.
pub const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(330);

/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Request line and headers together; a forwarded certificate chain is about 7 KB.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// What is buffered of one connection, each way: the largest head, and what came with it. With 64
/// connections at work every 16 KB here are some megabytes.
pub const HTTP_BUFFER_BYTES_MAX: usize = 72 * 1024;

/// What is read of a TLS connection at first: an ordinary message, and no more than one large record.
/// It lies with the thread, not with the connection.
pub const READ_FIRST_BYTES: usize = 16 * 1024;

/// What is read of a TLS connection at once while much is coming; two of the largest records.
pub const READ_AHEAD_BYTES: usize = 32 * 1024;

/// A peer that takes nothing of what we write for this long is gone.
pub const WRITE_IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Waiting for file descriptors and the like before accepting again.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The least time between two log lines on the same overload.
pub const LOG_EVERY: Duration = Duration::from_secs(10);

/// A connection that is to end and has nothing in flight gets this long to part politely.
pub const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);
// -- The store.

/// Payload of one journal record: a message's skeleton, encrypted, and all that follows from it.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A journal segment is closed at this size: small enough to copy and to verify in a second.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Records gathered into one write and one sync. Bounds the buffer, and what a crash can tear.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Jobs answered by one sync: above this the wait of the first grows faster than the gain.
pub const BATCH_JOBS_MAX: usize = 512;

/// Jobs waiting for the writer; a sync takes milliseconds, so this is far less than a second of work.
pub const STORE_QUEUE_MAX: usize = 1024;

/// Free space below which the store takes nothing more: room for views, logs and an operator.
pub const STORE_FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// How often a store that is unavailable tries to come back, and how old a free-space figure may be.
pub const STORE_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Journal files kept open for reading: 4 GB of journal within reach without opening a file.
pub const JOURNAL_FILES_OPEN_MAX: usize = 64;

/// Damaged places listed one by one in a report; the rest are counted.
pub const DAMAGE_LISTED_MAX: usize = 100;

/// The memory that sled may use for pages. What it lets go of is read again from files that the system
/// keeps in memory anyway.
pub const VIEW_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Threads that read the views at once when they are checked: more wait for sled's own locks.
pub const VIEW_CHECKERS_MAX: usize = 4;

/// One key of a view; keys are made of identities, never of texts.
pub const VIEW_KEY_BYTES_MAX: usize = 1024;

/// One value of a view. Above 8 KB sled 0.34 soon writes files of their own for single values.
pub const VIEW_VALUE_BYTES_MAX: usize = 8 * 1024;

/// Entries given by one scan of a view: a page of any list, with room.
pub const VIEW_SCAN_MAX: usize = 1000;

/// Entries that a rebuild holds in memory before they are written.
pub const REBUILD_ENTRIES_MAX: usize = 10_000;

const _: () = assert!(RECORD_BYTES_MAX < BATCH_BYTES_MAX);
// A segment with the last batch on top, and its offsets, fit in 32 bits.
const _: () = assert!(SEGMENT_BYTES_MAX + 2 * BATCH_BYTES_MAX as u64 <= u32::MAX as u64);

// -- Calls that are passed on.

/// Calls in progress to one producer. A hung producer holds this many callers and no more; beyond
/// them the answer is a fault at once.
pub const PRODUCER_CALLS_MAX: usize = 200;

/// The TLS handshake with a producer.
pub const PRODUCER_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// The wait before connecting to a producer once more (the platform's figure).
pub const PRODUCER_RETRY_WAIT: Duration = Duration::from_secs(2);

/// What is held of a message before the rest streams: enough to know the length of all ordinary
/// messages, and to tell a SOAP fault from a web server's error page.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// A start tag in a message that is rewritten between the profiles.
pub const TAG_BYTES_MAX: usize = 64 * 1024;

/// Open elements in a message that is rewritten; one byte or two of memory for each.
pub const REWRITE_DEPTH_MAX: usize = 10_000;

/// Headers and preamble before the root part of a multipart message.
pub const PART_HEADERS_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(PRODUCER_CALLS_MAX < CONNECTIONS_MAX);
// What all connections together hold of messages on their way, both ways: below a gigabyte.
const _: () =
    assert!(CONNECTIONS_MAX * 2 * (HTTP_BUFFER_BYTES_MAX + HELD_BYTES_MAX) < 1024 * 1024 * 1024);

// -- The simulators.

/// Messages that a simulator remembers; one more is refused, as forgetting would break idempotency.
/// A record is about 500 bytes, so this is about 50 MB.
pub const SIMULATOR_MESSAGES_MAX: usize = 100_000;

/// Behaviours queued for coming calls of a simulator.
pub const SIMULATOR_COURSE_MAX: usize = 1000;

/// How long a simulator holds a call that it does not answer: longer than any caller waits.
pub const SIMULATOR_HOLD_TIME_MAX: Duration = Duration::from_secs(600);

/// How often a simulated own system sends one message of its handling before it gives up.
pub const SIMULATOR_ATTEMPTS_MAX: u32 = 10;

/// A request to a simulator's control door; the largest is one step of handling.
pub const SIMULATOR_CONTROL_BYTES_MAX: u64 = 64 * 1024;

/// Messages in the inboxes of a simulator, each with its text of at most about 20 KB.
pub const SIMULATOR_INBOX_MAX: usize = 10_000;

/// How long the sender of a refused message may go on sending it, so that it hears the refusal: a
/// message of the largest size over a fast line.
pub const REFUSED_BODY_TIME_MAX: Duration = Duration::from_secs(10);
// -- Cases and what is owed to others.

/// Characters of a reason kept with an outgoing message. With the longest ids, all of four bytes,
/// an outgoing message then stays below [`VIEW_VALUE_BYTES_MAX`].
pub const WHY_CHARS_MAX: usize = 300;

/// Questions in one case; a case with more is no dialogue, and each is read with every step.
pub const CASE_QUESTIONS_MAX: usize = 200;

/// Messages from the complainant in one case. Each is relayed again when the case is transferred.
pub const CASE_MESSAGES_MAX: usize = 1000;

// -- Bulk decisions and alarms.

/// Outgoing messages shown for one decision about many; the rest need the command again.
pub const OUTBOX_SELECTION_MAX: usize = 10_000;

/// Outgoing messages decided about in one step of the store: 100 reasons are 0.2 MB of journal, and
/// less than one call to the admin door.
pub const OUTBOX_BATCH_MAX: usize = 100;

/// Pairs of address and contract whose usual traffic is looked at. Each has at most 672 hours; those
/// that come later are not watched.
pub const SILENCE_WATCHED_MAX: usize = 20_000;

/// The longest between two looks for alarms: later, nobody would call it one.
pub const ALARM_LOOK_MAX: Duration = Duration::from_secs(5 * 60);

/// How often the recorded calls are read for silence: four weeks of files, a second at most.
pub const SILENCE_LOOK: Duration = Duration::from_secs(10 * 60);

// -- The admin door.

/// One call to the admin door. Three texts of [`TEXT_CHARS_MAX`], each character escaped as JSON
/// does it at worst, are about 720 KB.
pub const ADMIN_BODY_BYTES_MAX: usize = 1024 * 1024;

/// One call to the admin door, body and answer; a reload of a national routing takes seconds.
pub const ADMIN_CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// How long calls to the admin door may hold up a stop.
pub const ADMIN_STOP_TIME_MAX: Duration = Duration::from_secs(5);
// -- Routing in operation.

/// Routing configurations kept to return to. A busy region changes its routing weekly: a year's worth.
/// Those that open cases name are kept beyond it.
pub const GENERATIONS_MAX: usize = 50;

/// The most that are kept whatever cases name: at 1 MB each a gigabyte, at a national size a disk.
pub const GENERATIONS_NAMED_MAX: usize = 1000;

/// Times that are remembered at which one kept configuration came into force, the last ones.
pub const GENERATION_TIMES_MAX: usize = 20;

/// Times that a routing folder is read again when two readings of it differ.
pub const ROUTING_READINGS_MAX: u32 = 20;

/// Between two such readings: an editor or a copy writes its file within this time.
pub const ROUTING_READING_WAIT: Duration = Duration::from_millis(100);

/// How often the routing folder is looked at even when no change was reported (network disks).
pub const ROUTING_POLL: Duration = Duration::from_secs(2);

/// The longest that a routing folder which never stands still is waited for before it is read.
pub const ROUTING_QUIET_MAX: Duration = Duration::from_secs(10);

/// How far ahead planned changes of routing are shown, days: the next month's.
pub const ROUTING_PLANNED_DAYS: i32 = 30;

/// A certificate that runs out within so many days is warned of: an order of a new one takes weeks.
pub const CERTIFICATE_WARNING_DAYS: i32 = 30;

/// Different calls (contract, address, caller, profile, hour, outcome) counted at once, and in one
/// day's file; about 200 bytes each. Further ones are counted under one key.
pub const DECISION_KEYS_MAX: usize = 50_000;

/// Days whose decisions are kept: a month with its first and last.
pub const DECISION_DAYS_MAX: usize = 31;

/// How often recorded decisions go to disk: what a crash may lose of a statistic.
pub const DECISION_FLUSH: Duration = Duration::from_secs(60);

/// One day's file of decisions: [`DECISION_KEYS_MAX`] keys of the longest kind.
pub const DECISION_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Registration numbers named for one unit in a plan; the rest are counted.
pub const PLAN_NUMBERS_MAX: usize = 20;

/// Changed calls listed in a plan; the rest are counted.
pub const PLAN_ROWS_MAX: usize = 1000;
// -- Routing data from elsewhere.

/// Files of one import together. A national TAK (100 000 routes, 300 000 permissions) is about 180 MB
/// as SOAP responses and 250 MB as a platform's cache file.
pub const TAK_IMPORT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Rows of one import. The national platform has well below half a million.
pub const TAK_IMPORT_ROWS_MAX: usize = 2_000_000;

/// Files of one import: the four answers of a TAK, or the orders of some months.
pub const TAK_IMPORT_FILES_MAX: usize = 1000;

/// One HSA unit file. All of Sweden is about 100 MB.
pub const HSA_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Units in an organisation tree. HSA has a few hundred thousand.
pub const HSA_UNITS_MAX: usize = 2_000_000;

/// HSA unit files of one tree: one from HSA, and a few with what it lacks.
pub const HSA_FILES_MAX: usize = 16;

/// Rows of an HSA unit file that are told as skipped; the rest are counted.
pub const HSA_SKIPPED_SHOWN_MAX: usize = 100;

// -- Backup and audit.

/// A backup's manifest: about 150 bytes for each 64 MB of journal.
pub const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files that a check remembers to have looked at, at about 100 bytes each; what is named again
/// after that is looked at again.
pub const AUDIT_FILES_REMEMBERED: usize = 1_000_000;

/// Registration numbers listed with one damaged part.
pub const AUDIT_NUMBERS_MAX: usize = 100;

/// Registration numbers that a restored store leaves out, and one more for each second since the
/// backup. The whole nation sends about 700 cases a day, so this covers every burst; a nightly backup
/// restored a thousand times leaves a third of the 148 million numbers.
pub const RESTORE_NUMBERS_SKIPPED: u64 = 10_000;

/// How long an operator's command waits for a backup: a terabyte over a slow disk.
pub const BACKUP_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
// -- A live TAK as source of routing.

/// How often a live TAK is asked when nothing is said: routing changes a few times a day.
pub const TAK_FETCH_EVERY_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// More often than this a national TAK would do little else than answer.
pub const TAK_FETCH_EVERY_MIN: Duration = Duration::from_secs(60);

/// Less often than this a change that was ordered for tomorrow may come too late.
pub const TAK_FETCH_EVERY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One answer of a live TAK. The national tables are about 60 MB of routes and 120 MB of
/// permissions; two such answers are within [`TAK_IMPORT_BYTES_MAX`].
pub const TAK_ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One answer of a live TAK, from the first byte of the question to the last of the answer.
pub const TAK_FETCH_TIME_MAX: Duration = Duration::from_secs(120);

/// Where a live TAK gives fewer routes or permissions than this share of the last good copy's, a
/// person decides: no region loses half its rows in one day, and a TAK that has lost them does.
pub const TAK_FETCH_KEPT_PERCENT_MIN: usize = 50;

/// How long an operator who asked for a fetch waits for it; it goes on and is shown in the status.
pub const TAK_FETCH_ASKED_WAIT: Duration = Duration::from_secs(50);

/// Operators' wishes for a fetch that wait for the one under way.
pub const TAK_FETCH_ASKED_MAX: usize = 8;

/// How often it is looked whether a fetch is due: what a changed setting waits for at most.
pub const TAK_FETCH_LOOK: Duration = Duration::from_secs(1);

/// Rows told of that a fetch did not carry over; the rest are counted.
pub const TAK_FETCH_LEFT_SHOWN_MAX: usize = 20;

/// The note on what was fetched last, on disk.
pub const TAK_NOTE_BYTES_MAX: u64 = 64 * 1024;

const _: () = assert!(TAK_FETCH_ASKED_WAIT.as_secs() < ADMIN_CALL_TIME_MAX.as_secs());

/// One file of a package of contracts; the largest of RIV TA's are some hundred kilobytes.
pub const WSDL_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// All files of the packages together; they are kept in memory.
pub const WSDL_FOLDER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files of the packages; all of RIV TA's domains together have about 3 000.
pub const WSDL_FILES_MAX: usize = 10_000;

/// Folders inside each other, from the packages' folder to a WSDL.
pub const WSDL_FOLDERS_DEEP_MAX: usize = 10;

/// What may stand before the first tag of a WSDL (a byte order mark) and is cut off.
pub const WSDL_BEFORE_BYTES_MAX: usize = 10;

/// Sets of labels (contract, consumer, producer, outcome) that calls are counted by. A region's 50
/// contracts between a few systems are some hundreds; each set costs about 50 lines of a scrape.
pub const METRIC_SETS_MAX: usize = 1000;

/// `tracestate` that is passed on (W3C: at least 512 characters).
pub const TRACE_STATE_BYTES_MAX: usize = 512;

/// Spans that wait for a collector; about a kilobyte each. Further ones are dropped.
pub const SPANS_QUEUE_MAX: usize = 4096;

/// Spans in one call to the collector.
pub const SPANS_BATCH_MAX: usize = 512;

/// Spans are sent this often, or when a batch is full.
pub const SPANS_EVERY: Duration = Duration::from_secs(1);

/// One call to the collector.
pub const SPANS_TIME_MAX: Duration = Duration::from_secs(5);

/// What is read of a collector's answer; it is a few bytes.
pub const SPANS_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long a stop waits for the last spans.
pub const SPANS_STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Consumers whose calls are paced each by itself; those beyond share one pace.
pub const CONSUMERS_PACED_MAX: usize = 10_000;

/// Keys made at once, before they are needed: one sync of the disk for a thousand cases, and 64 KB.
pub const KEYS_AHEAD: u64 = 1024;

/// Files on disk that wait for a record to name them. Each costs about 300 bytes of memory, and the
/// messages being read at once have at most some thousands.
pub const FRESH_FILES_MAX: usize = 20_000;

/// How long the command that prints the master key may take: a key service answers within seconds.
pub const MASTER_KEY_TIME_MAX: Duration = Duration::from_secs(30);

/// What is read of a master key's file or command; a key is 64 characters.
pub const MASTER_KEY_TEXT_BYTES_MAX: u64 = 1024;

/// Cases that one command removes: some minutes of work; the command is given again for more.
pub const REMOVE_CASES_MAX: usize = 10_000;

/// Cases removed in one call: each waits some ten milliseconds for the disk, and a call ends within
/// [`ADMIN_CALL_TIME_MAX`] on a slow one, too.
pub const REMOVE_BATCH_MAX: usize = 50;

/// Removed cases in one list: about 200 bytes each.
pub const REMOVE_LISTED_MAX: usize = 100_000;
