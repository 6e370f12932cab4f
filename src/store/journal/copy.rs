//! What is on disk of a journal at one moment, for a copy made beside the one that appends.

use std::io::{self, Write};

use super::frame;
use super::read::Reader;

/// The part of a segment that is on disk. It is never written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    segment: u64,
    /// The segment's file name.
    pub name: String,
    /// Bytes from the beginning; a record ends here.
    pub bytes: u64,
}

/// What is read in one go.
const PIECE: usize = 1024 * 1024;

impl Reader {
    /// The segments up to what is on disk now: all of them together end at one record.
    #[must_use]
    pub fn extents(&self) -> Vec<Extent> {
        let ends = self.ends();
        let only = ends.len() == 1;
        // A segment without a record may yet be replaced by another of its name.
        ends.into_iter()
            .filter(|(_, end)| only || *end > frame::FIRST_OFFSET)
            .map(|(segment, bytes)| Extent { segment, name: frame::segment_name(segment), bytes })
            .collect()
    }

    /// Writes an extent to `to`, a piece at a time.
    ///
    /// # Errors
    /// When the disk or `to` fails, or the file is shorter than it was.
    pub fn copy(&self, extent: &Extent, to: &mut dyn Write) -> io::Result<()> {
        let file = self.file(extent.segment)?;
        let mut piece = vec![0; PIECE];
        let mut offset = 0;
        while offset < extent.bytes {
            let left = usize::try_from(extent.bytes - offset).unwrap_or(usize::MAX);
            let part = left.min(piece.len());
            let read = file.read_at(piece.get_mut(..part).unwrap_or_default(), offset)?;
            if read == 0 {
                let what = format!("{} ends at byte {offset}", extent.name);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            to.write_all(piece.get(..read).unwrap_or_default())?;
            offset += u64::try_from(read).unwrap_or(u64::MAX);
        }
        Ok(())
    }
}
