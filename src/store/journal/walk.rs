//! Walks the frames of one segment in order, past damage to the next whole frame.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{self, Hash, Head};

const CHUNK: usize = 1024 * 1024;

/// A part of a file held in memory, moved forward as it is asked for.
#[derive(Debug)]
struct Window {
    file: Arc<dyn DiskFile>,
    end: u64,
    start: u64,
    held: Vec<u8>,
}

impl Window {
    /// The bytes `[offset, offset + length)`; `None` where the end comes before.
    fn get(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let wide = u64::try_from(length).unwrap_or(u64::MAX);
        if offset.saturating_add(wide) > self.end {
            return Ok(None);
        }
        let held = u64::try_from(self.held.len()).unwrap_or(0);
        if offset < self.start || offset + wide > self.start + held {
            let left = usize::try_from(self.end - offset).unwrap_or(usize::MAX);
            self.held.resize(length.max(CHUNK).min(left), 0);
            self.start = offset;
            let read = self.file.read_at(&mut self.held, offset)?;
            self.held.truncate(read);
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.held.get(from..from.saturating_add(length)))
    }
}

/// A whole frame that was met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) head: Head,
    pub(super) hash: Hash,
    /// Whether it names the hash of the record before it; `true` right after damage, where nobody
    /// can tell.
    pub(super) chained: bool,
}

/// What comes next in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Frame(Met),
    /// No whole frame begins at `from`; the next one (or the end) is at `to`.
    Gap {
        from: u64,
        to: u64,
    },
    End,
}

/// The walk: where it is and what it met last.
#[derive(Debug)]
pub(super) struct Walk {
    window: Window,
    seed: u32,
    offset: u64,
    seq: u64,
    hash: Option<Hash>,
}

impl Walk {
    /// Begins at `offset`, after record `seq` with `hash` (where it is known), and goes to `end`.
    pub(super) fn new(
        file: Arc<dyn DiskFile>,
        seed: u32,
        end: u64,
        offset: u64,
        seq: u64,
        hash: Option<Hash>,
    ) -> Self {
        let window = Window { file, end, start: 0, held: Vec::new() };
        Self { window, seed, offset, seq, hash }
    }

    /// The seq of the record met last.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the record met last, where it is known.
    pub(super) fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// Where the walk ends.
    pub(super) fn end(&self) -> u64 {
        self.window.end
    }

    pub(super) fn step(&mut self) -> io::Result<Step> {
        if self.offset >= self.window.end {
            return Ok(Step::End);
        }
        if let Some(met) = self.frame(self.offset)? {
            self.offset = met.end;
            self.seq = met.head.seq;
            self.hash = Some(met.hash);
            return Ok(Step::Frame(met));
        }
        let from = self.offset;
        self.offset = self.next_whole(from + 1)?;
        self.hash = None;
        Ok(Step::Gap { from, to: self.offset })
    }

    /// The payload of the frame that was met.
    pub(super) fn payload(&mut self, met: &Met) -> io::Result<&[u8]> {
        let found = self.window.get(met.offset, met.head.frame_bytes())?;
        Ok(frame::payload(found.unwrap_or_default()))
    }

    fn frame(&mut self, offset: u64) -> io::Result<Option<Met>> {
        let Some(head) = self.window.get(offset, frame::HEAD_BYTES)?.and_then(Head::read) else {
            return Ok(None);
        };
        if head.seq <= self.seq {
            return Ok(None);
        }
        // Right after a whole frame comes the next number; after damage any later one.
        if self.hash.is_some() && head.seq != self.seq + 1 {
            return Ok(None);
        }
        let Some(bytes) = self.window.get(offset, head.frame_bytes())? else { return Ok(None) };
        if !frame::is_whole(bytes, self.seed) {
            return Ok(None);
        }
        let hash = frame::hash(bytes);
        let end = offset + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let chained = self.hash.is_none_or(|before| before == head.before);
        Ok(Some(Met { offset, end, head, hash, chained }))
    }

    /// The next place from `offset` on where a whole frame begins, or the end.
    fn next_whole(&mut self, mut offset: u64) -> io::Result<u64> {
        self.hash = None;
        while offset < self.window.end {
            let left = usize::try_from(self.window.end - offset).unwrap_or(usize::MAX);
            let Some(bytes) = self.window.get(offset, left.min(CHUNK))? else { break };
            let Some(at) = memchr::memmem::find(bytes, &frame::MAGIC) else {
                if bytes.len() == left {
                    break;
                }
                // The magic may lie across the edge of the chunk.
                offset += u64::try_from(bytes.len() - (frame::MAGIC.len() - 1)).unwrap_or(1);
                continue;
            };
            offset += u64::try_from(at).unwrap_or(0);
            if self.frame(offset)?.is_some() {
                return Ok(offset);
            }
            offset += 1;
        }
        Ok(self.window.end)
    }
}
