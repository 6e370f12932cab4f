//! The bytes of a journal: the head of a segment and the frame of a record.
//!
//! All numbers are little-endian. A frame is
//! `magic 4 | payload length 4 | seq 8 | durable seq 8 | hash of the frame before 32 | payload | CRC32C 4`.
//! The CRC covers everything before it and starts from a seed of the segment, so that bytes inside
//! a payload, or of another journal, cannot pass for a frame here.

use sha2::{Digest, Sha256};

use crate::limits;

pub(super) type Hash = [u8; 32];

/// The hash before the first record, and where the record before is not known.
pub(super) const NO_HASH: Hash = [0; 32];

pub(super) const MAGIC: [u8; 4] = *b"KLJr";
pub(super) const HEAD_BYTES: usize = 56;
pub(super) const CRC_BYTES: usize = 4;

/// The format that this program writes.
pub(super) const VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"KLAGJRNL";
const SEGMENT_HEAD_COPY: usize = 128;

/// Two copies of the head stand first in a segment: either is enough.
pub(super) const SEGMENT_HEAD_BYTES: usize = 2 * SEGMENT_HEAD_COPY;

/// [`SEGMENT_HEAD_BYTES`] as a place in a file.
pub(super) const FIRST_OFFSET: u64 = SEGMENT_HEAD_BYTES as u64;

/// What stands before the payload of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of payload.
    pub(super) length: usize,
    pub(super) seq: u64,
    /// The highest seq known to be on disk when this frame was written.
    pub(super) durable_seq: u64,
    /// SHA-256 of the frame before.
    pub(super) before: Hash,
}

impl Head {
    /// Reads a head. `None` where the magic or the length is wrong.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        if take::<4>(&mut bytes)? != MAGIC {
            return None;
        }
        let length = usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?;
        let seq = u64::from_le_bytes(take(&mut bytes)?);
        let durable_seq = u64::from_le_bytes(take(&mut bytes)?);
        let before = take(&mut bytes)?;
        (length <= limits::RECORD_BYTES_MAX && durable_seq < seq).then_some(Self {
            length,
            seq,
            durable_seq,
            before,
        })
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        HEAD_BYTES + self.length + CRC_BYTES
    }
}

/// Appends one frame to `out` and gives its hash. The payload is within its bound.
pub(super) fn write(out: &mut Vec<u8>, seed: u32, head: &Head, payload: &[u8]) -> Hash {
    let start = out.len();
    out.reserve(HEAD_BYTES + payload.len() + CRC_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&u32::try_from(head.length).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&head.seq.to_le_bytes());
    out.extend_from_slice(&head.durable_seq.to_le_bytes());
    out.extend_from_slice(&head.before);
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c_append(seed, out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
    hash(out.get(start..).unwrap_or_default())
}

/// Whether the CRC at the end of `frame` is that of what stands before it.
pub(super) fn is_whole(frame: &[u8], seed: u32) -> bool {
    frame
        .split_last_chunk::<CRC_BYTES>()
        .is_some_and(|(rest, crc)| crc32c::crc32c_append(seed, rest) == u32::from_le_bytes(*crc))
}

/// The payload inside a whole frame.
pub(super) fn payload(frame: &[u8]) -> &[u8] {
    frame.get(HEAD_BYTES..frame.len().saturating_sub(CRC_BYTES)).unwrap_or_default()
}

/// SHA-256 of a frame.
pub(super) fn hash(frame: &[u8]) -> Hash {
    Sha256::digest(frame).into()
}

/// What stands first in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) version: u32,
    /// The journal that the segment belongs to.
    pub(super) journal: [u8; 16],
    pub(super) first_seq: u64,
    /// SHA-256 of the last frame of the segment before.
    pub(super) before: Hash,
    /// First seq of the segment before; 0 where there is none.
    pub(super) previous: u64,
    /// Where the segment before ends. What stands after that was never acknowledged.
    pub(super) previous_end: u64,
}

impl SegmentHead {
    /// What CRCs of frames in this segment start from.
    pub(super) fn seed(&self) -> u32 {
        seed(&self.journal, self.first_seq)
    }

    /// Both copies, as they stand in the file.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(SEGMENT_HEAD_BYTES);
        copy.extend_from_slice(&SEGMENT_MAGIC);
        copy.extend_from_slice(&self.version.to_le_bytes());
        copy.extend_from_slice(&self.journal);
        copy.extend_from_slice(&self.first_seq.to_le_bytes());
        copy.extend_from_slice(&self.before);
        copy.extend_from_slice(&self.previous.to_le_bytes());
        copy.extend_from_slice(&self.previous_end.to_le_bytes());
        copy.resize(SEGMENT_HEAD_COPY - CRC_BYTES, 0);
        let crc = crc32c::crc32c(&copy);
        copy.extend_from_slice(&crc.to_le_bytes());
        copy.extend_from_within(..);
        copy
    }

    /// Reads the head from the first bytes of a segment: the head, and whether both copies agree.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, bool)> {
        let first = bytes.get(..SEGMENT_HEAD_COPY).and_then(Self::read_copy);
        let second = bytes.get(SEGMENT_HEAD_COPY..SEGMENT_HEAD_BYTES).and_then(Self::read_copy);
        let both = first == second;
        first.or(second).map(|head| (head, both))
    }

    fn read_copy(bytes: &[u8]) -> Option<Self> {
        if !is_whole(bytes, 0) {
            return None;
        }
        let mut bytes = bytes;
        if take::<8>(&mut bytes)? != SEGMENT_MAGIC {
            return None;
        }
        Some(Self {
            version: u32::from_le_bytes(take(&mut bytes)?),
            journal: take(&mut bytes)?,
            first_seq: u64::from_le_bytes(take(&mut bytes)?),
            before: take(&mut bytes)?,
            previous: u64::from_le_bytes(take(&mut bytes)?),
            previous_end: u64::from_le_bytes(take(&mut bytes)?),
        })
    }
}

/// What CRCs of frames in a segment start from.
pub(super) fn seed(journal: &[u8; 16], first_seq: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(journal), &first_seq.to_le_bytes())
}

/// The file name of a segment: 20 digits, so that names sort as numbers.
pub(super) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.klj")
}

/// The first seq in a segment's file name; `None` where it is no segment.
pub(super) fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".klj")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (found, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*found)
}
