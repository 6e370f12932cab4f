//! How a decision came about, in the form that the national platform's log has it.

use crate::tak::{Stage, Step, Via};

/// `routerVagvalTrace` and `routerBehorighetTrace` of a call to `asked`: the addresses tried, in
/// order, with a word where they were come by in another way.
pub(super) fn texts(trail: &[Step], asked: &str) -> (String, String) {
    let of = |wanted: fn(Stage) -> bool| text(trail.iter().filter(|it| wanted(it.stage)), asked);
    (of(is_routing), of(|stage| stage == Stage::Permission))
}

fn is_routing(stage: Stage) -> bool {
    match stage {
        Stage::Own | Stage::Portal | Stage::Unit | Stage::Route => true,
        Stage::County | Stage::Handling | Stage::Permission => false,
    }
}

fn text<'s>(steps: impl Iterator<Item = &'s Step>, asked: &str) -> String {
    let mut text = String::new();
    let mut last = (Via::Asked, "");
    for step in steps {
        let address = match step.via {
            Via::Asked => asked,
            Via::Standard => "*",
            Via::Token | Via::Parent => step.address.as_deref().unwrap_or_default(),
        };
        // Several rows of one address are one place that was looked at.
        if (step.via, address) == last {
            continue;
        }
        let word = match step.via {
            Via::Asked => None,
            Via::Token => Some("(leaf)"),
            Via::Parent => Some("(parent)"),
            Via::Standard => Some("(default)"),
        };
        let parts = [word.filter(|_| step.via != last.0), Some(address)];
        for part in parts.into_iter().flatten().filter(|it| !it.is_empty()) {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&super::reply::visible(part));
        }
        last = (step.via, address);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tak::Verdict;

    fn step(stage: Stage, via: Via, address: Option<&str>) -> Step {
        let address = address.map(Into::into);
        Step { stage, via, address, row: None, verdict: Verdict::NoRow }
    }

    #[test]
    fn a_trail_reads_as_the_platform_writes_it() {
        let trail = [
            step(Stage::Route, Via::Asked, None),
            step(Stage::Route, Via::Asked, None),
            step(Stage::Route, Via::Parent, Some("SE1")),
            step(Stage::Route, Via::Parent, Some("SE")),
            step(Stage::Route, Via::Standard, None),
            step(Stage::Permission, Via::Asked, None),
            step(Stage::Permission, Via::Standard, None),
        ];
        let expected = ("R,(parent),SE1,SE,(default),*".to_owned(), "R,(default),*".to_owned());
        assert_eq!(texts(&trail, "R"), expected);
        let parts =
            [step(Stage::Route, Via::Token, Some("B")), step(Stage::Route, Via::Token, Some("A"))];
        assert_eq!(texts(&parts, "A#B").0, "(leaf),B,A");
        assert_eq!(texts(&[], "R"), (String::new(), String::new()));
    }
}
