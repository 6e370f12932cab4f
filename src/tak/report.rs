//! Findings written for a person, and as JSON for a program.

use std::io::{self, Write};

use super::finding::{Finding, Severity};

/// Writes each finding as `file:line:column: error: ...` with its hint below, and a last line that
/// counts them.
pub fn write_text(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for it in findings {
        let kind = match it.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{}:{}:{}: {kind}: {}", it.file, it.line, it.column, it.message)?;
        if let Some(hint) = &it.hint {
            writeln!(out, "    {hint}")?;
        }
    }
    writeln!(out, "{}", summary(findings))
}

/// Writes one JSON object: `errors`, `warnings` (counts) and `findings`.
pub fn write_json(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let (errors, warnings) = count(findings);
    let whole = serde_json::json!({ "errors": errors, "warnings": warnings, "findings": findings });
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

/// One line: `2 errors, 1 warning`, or that nothing was found.
#[must_use]
pub fn summary(findings: &[Finding]) -> String {
    match count(findings) {
        (0, 0) => "nothing found".to_owned(),
        (errors, warnings) => {
            format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"))
        }
    }
}

fn count(findings: &[Finding]) -> (usize, usize) {
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    (errors, findings.len() - errors)
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
