//! What is done to a message's bytes while they pass; most often nothing.

use bytes::Bytes;

use crate::gateway::refusal::Refusal;
use crate::soap::{Recoder, Translator};

/// Steps over the bytes of one message.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// So many bytes pass as they are before anything else.
    pub before: usize,
    pub recoder: Option<Recoder>,
    pub translator: Option<Translator>,
}

impl Change {
    pub(super) const fn is_nothing(&self) -> bool {
        self.recoder.is_none() && self.translator.is_none()
    }

    pub(super) fn push(&mut self, mut bytes: Bytes) -> Result<Bytes, Refusal> {
        if self.is_nothing() {
            return Ok(bytes);
        }
        let mut out = bytes.split_to(self.before.min(bytes.len())).to_vec();
        self.before -= out.len();
        let Some(recoder) = &mut self.recoder else {
            self.translate(&bytes, &mut out)?;
            return Ok(out.into());
        };
        let mut recoded = Vec::with_capacity(bytes.len());
        recoder.push(&bytes, &mut recoded)?;
        self.translate(&recoded, &mut out)?;
        Ok(out.into())
    }

    /// The message has ended; what was still held of it.
    pub(super) fn finish(&mut self) -> Result<Bytes, Refusal> {
        let (mut recoded, mut out) = (Vec::new(), Vec::new());
        if let Some(recoder) = &mut self.recoder {
            recoder.finish(&mut recoded)?;
        }
        self.translate(&recoded, &mut out)?;
        if let Some(translator) = &self.translator {
            translator.finish().map_err(Refusal::Translation)?;
        }
        Ok(out.into())
    }

    fn translate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match &mut self.translator {
            Some(translator) => translator.push(bytes, out).map_err(Refusal::Translation),
            None => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}
