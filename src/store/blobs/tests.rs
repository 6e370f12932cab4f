//! Tests of the attachments.
