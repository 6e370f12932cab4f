//! A file read row by row says what it says when it is read at once, whatever stands in it.

use proptest::prelude::*;

use crate::tak::draft::Draft;
use crate::tak::finding::{Findings, Lines};
use crate::tak::pieces::{Piece, pieces, plain};

const CASES: u32 = 3000;

/// What files are made of: rows as most are, rows that need a whole reader, and what is wrong.
const PARTS: [&str; 36] = [
    "[[route]]\n",
    "[[permission]]\n",
    "[[permission]]\r\n",
    "  [[route]]\n",
    "[[route]] # a comment\n",
    "[[ route ]]\n",
    "[[route]] x\n",
    "[route]\n",
    "[platform]\n",
    "[[system]]\nid = \"a\"\nhsa_id = \"SE0000000000-A\"\nname = \"A\"\n",
    "contract = \"urn:riv:x:YResponder:1\"\n",
    "contract = \"urn:riv:x:YResponder:1\"  # why [[route]] is here\n",
    "contract = 'urn:riv:x:ZResponder:1'\r\n",
    "contract = \"urn:riv:x:\\u0059Responder:1\"\n",
    "contract=\"no namespace å\"\n",
    "logical_address = \"SE0000000000-A\"\n",
    "\tlogical_address\t=\t\"*\"\n",
    "logical_address = \"a\\\"b\"\n",
    "logical_address = \"\"\n",
    "\"logical_address\" = \"SE0000000000-B\"\n",
    "consumer = \"SE0000000000-A\"\n",
    "consumer = 7\n",
    "system = \"a\"\n",
    "sytem = \"a\"\n",
    "address = \"https://e.se/[[route]]\"\n",
    "from = 2026-01-01\nto = 2026-12-31\n",
    "to = 2026-02-30\n",
    "from = \"2026-01-01\"\n",
    "from = 2026-01-01T00:00:00Z\n",
    "filter = [\n  { domain = \"riv:a:b\" },\n]\n",
    "[[permission.filter]]\ndomain = \"riv:a:b\"\n",
    "filter = [{ domain = \"riv:a:b\", categorizations = [\"c\"] }]\n",
    "# a comment with ''' in it\n",
    "name = \"\"\"\n[[route]]\n\"\"\"\n",
    "# \u{1} is no part of TOML\n",
    "\n",
];

fn read(text: &str, by: impl Fn(&mut Draft, &mut Findings) -> bool) -> (bool, String, String) {
    let mut draft = Draft::default();
    let mut found = Findings::in_files(vec!["x.toml".into()]);
    let is_toml = by(&mut draft, &mut found);
    let named = |name| draft.names.text(name);
    let mut rows = String::new();
    for it in &draft.routes {
        let names = (named(it.contract), named(it.address));
        rows += &format!("{names:?} {:?}\n", (it.place, it.days, it.profile, &it.target));
    }
    for it in &draft.permissions {
        let names = (named(it.contract), named(it.address), named(it.consumer));
        rows += &format!("{names:?} {:?}\n", (it.place, it.days, draft.filters.of(it)));
    }
    rows += &format!("{:?}", draft.systems);
    (is_toml, rows, format!("{text}\n{:#?}", found.finish()))
}

fn as_at_once(text: &str) {
    let lines = Lines::of(0, text);
    let row_by_row = read(text, |draft, found| draft.read(0, text, found));
    let at_once = read(text, |draft, found| draft.read_whole(text, &lines, found));
    assert_eq!(row_by_row, at_once);
}

const ROUTE: &str = "[[route]]\ncontract = \"urn:riv:x:YResponder:1\"\nlogical_address = \"A\"\n";
const PERMISSION: &str = "[[permission]]\nconsumer = \"SE0000000000-A\"\nlogical_address = \"*\"\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_by_row_is_as_at_once(
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..12),
    ) {
        as_at_once(&parts.concat());
    }

    #[test]
    fn and_so_is_a_file_of_whole_rows(
        rows in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(prop::sample::select(&PARTS[10..]), 0..3)), 0..8),
    ) {
        let row = |(is_route, more): (bool, Vec<&str>)| {
            format!("{}{}", if is_route { ROUTE } else { PERMISSION }, more.concat())
        };
        as_at_once(&rows.into_iter().map(row).collect::<String>());
    }
}

#[test]
fn rows_as_most_are_need_no_whole_reader() {
    let text = "# head\n[[route]]\ncontract = \"c\" # d\nto = 2026-01-31\n\n\
                [[permission]]\r\nconsumer = 'k'\r\n";
    let found = pieces(text).unwrap();
    let of = |piece: &Piece<'_>| (piece.start, piece.key, plain(piece).map(|it| it.len()));
    let told: Vec<_> = found.iter().skip(1).map(of).collect();
    assert_eq!(found[0].text, "# head\n");
    assert_eq!(told, [(7, Some("route"), Some(2)), (53, Some("permission"), Some(1))]);
    // A heading may stand inside a text only where texts of several lines are.
    assert_eq!(pieces("a = '''\n[[route]]\n'''"), None);
    // What is not plain is left to the reader that knows all of TOML.
    let others = ["a = 1", "a = \"\\n\"", "a = \"x\" y", "a.b = \"x\"", "a = \"x\"\na = \"y\""];
    for row in others.into_iter().chain(["a = 2026-02-30"]) {
        let text = format!("[[route]]\n{row}\n");
        let piece = Piece { start: 0, text: &text, key: Some("route") };
        assert!(plain(&piece).is_none(), "{row}");
    }
}
