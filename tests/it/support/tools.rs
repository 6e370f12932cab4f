//! What an outside tool's absence means: a failure where everything must run, a loud line elsewhere.

/// Whether this run must run everything.
pub fn is_ci() -> bool {
    std::env::var_os("KLAGOMAL_CI").is_some_and(|value| value != "0" && !value.is_empty())
}

/// Says that a test could not do its work here.
///
/// # Panics
/// In CI, where nothing may be left out.
pub fn not_run(why: &str) {
    assert!(!is_ci(), "{why}\nKLAGOMAL_CI is set, so every test must run; .ci/run installs it");
    eprintln!("\n*** not run: {why}\n");
}
