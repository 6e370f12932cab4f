//! The wire of the national platform, fact by fact: the checklist of its own tests, and where each of
//! them is shown here. Each file begins with its part of the list; `deviates` marks what is otherwise
//! on purpose.

mod end_to_end;
mod errors;
pub mod ground;
mod headers;
mod routing;

use std::fs;
use std::path::Path;

#[test]
fn every_row_of_the_checklist_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut rows = 0;
    for file in ["end_to_end", "errors", "headers", "routing"] {
        let text = fs::read_to_string(root.join(format!("tests/it/platform/{file}.rs"))).unwrap();
        for row in text.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1) {
            let (_, shown) = row.split_once(" | ").unwrap();
            let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
            for name in named.iter().filter(|it| it.matches('_').count() > 2) {
                assert!(all.contains(&format!("fn {name}()")), "{file}: {name}");
            }
            let said = ["deviates", "of the wire", "the same", "of Java"];
            assert!(!named.is_empty() || said.iter().any(|it| shown.contains(it)), "{row}");
            rows += 1;
        }
    }
    assert!(rows > 50, "{rows} rows");
}
