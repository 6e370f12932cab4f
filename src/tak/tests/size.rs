//! A table of a national platform's size: rows are found, and nothing grows faster than the rows.

use super::*;

#[test]
fn many_rows_load_and_each_is_found() {
    let (addresses, callers) = (1_000, 3);
    let mut text = String::new();
    for at in 0..addresses {
        text += &route(CARE, &format!("SE0000000000-U{at}"), &format!("https://e.se/{at}"));
        for caller in 0..callers {
            text += &permission(&format!("C{caller}"), CARE, &format!("SE0000000000-U{at}"));
        }
    }
    let it = table(&text);
    for at in [0, 1, 499, 999] {
        let address = format!("SE0000000000-u{at}");
        for caller in 0..callers {
            let decision = decide(&it, &format!("C{caller}"), CARE, &address);
            assert_eq!(said(&decision), format!("https://e.se/{at}"));
            // Only the two rows in question were looked at.
            assert_eq!(decision.trail.len(), 2);
        }
        assert_eq!(said(&decide(&it, "C3", CARE, &address)), "VP007");
    }
    assert_eq!(said(&decide(&it, "C0", CARE, "SE0000000000-U1000")), "VP004");
}
