//! What the code lists promise.

use super::*;

const PROBLEM_SYSTEM: &str = "urn:klagomal:kv-huvud-och-delproblem";
const AREA_SYSTEM: &str = "urn:klagomal:kv-verksamhetsomrade";

fn example_files() -> Vec<(String, String)> {
    [
        (
            "huvud-och-delproblem-1.0.toml",
            include_str!("../../../tak-config/code-lists/huvud-och-delproblem-1.0.toml"),
        ),
        (
            "verksamhetsomrade-1.0.toml",
            include_str!("../../../tak-config/code-lists/verksamhetsomrade-1.0.toml"),
        ),
        (
            "upplevt-problem-1.0.toml",
            include_str!("../../../tak-config/code-lists/upplevt-problem-1.0.toml"),
        ),
        ("kon-1.0.toml", include_str!("../../../tak-config/code-lists/kon-1.0.toml")),
    ]
    .map(|(file, text)| (file.to_owned(), text.to_owned()))
    .to_vec()
}

fn example() -> CodeLists {
    CodeLists::parse(&example_files()).unwrap()
}

/// The example with one more file.
fn example_and(file: &str, text: &str) -> Result<CodeLists, Vec<CodeListFault>> {
    let mut files = example_files();
    files.push((file.to_owned(), text.to_owned()));
    CodeLists::parse(&files)
}

/// The faults of one more file, as `line: text`.
fn faults_of(text: &str) -> Vec<String> {
    let faults = example_and("more.toml", text).unwrap_err();
    assert!(faults.iter().all(|fault| fault.file == "more.toml"), "{faults:?}");
    faults.into_iter().map(|fault| format!("{}: {}", fault.line, fault.text)).collect()
}

fn newer_problems(version: &str) -> String {
    format!(
        "name = \"{PROBLEMS}\"\nversion = \"{version}\"\ncode_system = \"{PROBLEM_SYSTEM}\"\n\
         [[code]]\ncode = \"1\"\ntext = \"Vård ({version})\"\nprovenance = \"own\"\n\
         [[code]]\ncode = \"9\"\ntext = \"Nytt\"\nprovenance = \"own\"\n"
    )
}

fn code(system: &str, code: &str) -> Code {
    Code { code: Some(code.to_owned()), code_system: Some(system.to_owned()), ..Code::default() }
}

fn versioned(system: &str, text: &str, version: &str) -> Code {
    Code { code_system_version: Some(version.to_owned()), ..code(system, text) }
}

fn classification(mains: &[&str], subs: &[&str], area: &str) -> Classification {
    Classification {
        main_problems: mains.iter().map(|it| code(PROBLEM_SYSTEM, it)).collect(),
        sub_problems: subs.iter().map(|it| code(PROBLEM_SYSTEM, it)).collect(),
        operational_area: code(AREA_SYSTEM, area),
    }
}

fn refused_field(classification: &Classification) -> String {
    example().check_classification(classification).unwrap_err().field
}

#[test]
fn the_example_lists_are_whole() {
    let lists = example();
    let problems = lists.current(PROBLEMS).unwrap();
    assert_eq!(problems.top_level().count(), 9, "eight, and positive feedback");
    assert_eq!(problems.children("1").count(), 6);
    assert_eq!(problems.children("7").count(), 5);
    for sub in problems.codes.iter().filter(|it| it.parent.is_some()) {
        let parent = sub.parent.clone().unwrap();
        assert!(sub.code.starts_with(&format!("{parent}.")), "{}", sub.code);
    }
    assert_eq!(problems.code("POS").unwrap().provenance, Provenance::Own);
    assert_eq!(problems.code("3.1").unwrap().provenance, Provenance::Sourced);
    assert_eq!(problems.code("3.2").unwrap().provenance, Provenance::Unverified);
    let areas = lists.current(OPERATIONAL_AREAS).unwrap();
    assert_eq!(areas.codes.len(), 6);
    assert!(areas.codes.iter().all(|it| it.provenance == Provenance::Sourced));
    assert_eq!(lists.current("upplevt-problem").unwrap().codes.len(), 8);
    assert_eq!(lists.current("kon").unwrap().code_system, "1.2.752.129.2.2.1.1");
    assert_eq!(lists.all().count(), 4);
}

#[test]
fn every_fault_of_a_file_is_told_with_its_line() {
    let text = "name = \"x\"\nversion = \"1.0\"\ncode_system = \"urn:x\"\nowner = \"me\"\n\n\
                [[code]]\ncode = \"1\"\ntext = \"ett\"\nprovenance = \"own\"\ncolour = \"red\"\n\n\
                [[code]]\ncode = \"2\"\ntext = \"två\"\nprovenance = \"rumour\"\n\n\
                [[code]]\ncode = 3\ntext = \"tre\"\nprovenance = \"own\"\n\n\
                [[code]]\ncode = \"4\"\ntext = \" \"\n";
    assert_eq!(
        faults_of(text),
        [
            "10: unknown key \"colour\"; known: code, text, provenance, parent, wording",
            "15: provenance \"rumour\" is not one of \"sourced\", \"unverified\" and \"own\"",
            "18: code must be a text in quotes",
            "24: text must be a text that neither is empty nor begins or ends with white space",
            "22: provenance is missing",
            "4: unknown key \"owner\"; known: name, version, code_system, code",
        ]
    );
}

#[test]
fn duplicate_codes_and_unknown_parents_are_faults() {
    let text = "name = \"x\"\nversion = \"1.0\"\ncode_system = \"urn:x\"\n\
                [[code]]\ncode = \"1\"\ntext = \"ett\"\nprovenance = \"own\"\n\
                [[code]]\ncode = \"1\"\ntext = \"igen\"\nprovenance = \"own\"\n\
                [[code]]\ncode = \"1.1\"\ntext = \"a\"\nparent = \"1\"\nprovenance = \"own\"\n\
                [[code]]\ncode = \"2.1\"\ntext = \"b\"\nparent = \"2\"\nprovenance = \"own\"\n\
                [[code]]\ncode = \"1.1.1\"\ntext = \"c\"\nparent = \"1.1\"\nprovenance = \"own\"\n";
    assert_eq!(
        faults_of(text),
        [
            "8: code \"1\" is given twice",
            "20: parent \"2\" is no top-level code of this list",
            "25: parent \"1.1\" is no top-level code of this list",
        ]
    );
}

#[test]
fn what_is_no_list_is_a_fault() {
    assert!(faults_of("name = \n")[0].starts_with("1: not TOML: "));
    let bare = "name = \"x\"\nversion = \"1.0\"\ncode_system = \"urn:x\"\n";
    assert_eq!(faults_of(bare), ["1: no codes: give at least one [[code]]"]);
    let draft = format!("{bare}[[code]]\ncode = \"1\"\ntext = \"a\"\nprovenance = \"own\"\n")
        .replace("1.0", "1.0-draft");
    assert_eq!(
        faults_of(&draft),
        ["2: version \"1.0-draft\" is not numbers with dots, as \"1.0\""]
    );
}

#[test]
fn one_version_comes_from_one_file_and_one_code_system_from_one_list() {
    assert!(example_and("again.toml", &newer_problems("1.1")).is_ok());
    let same = example_and("again.toml", &newer_problems("1.00")).unwrap_err();
    assert_eq!(same.len(), 1);
    assert!(same[0].text.contains("is given by two files"), "{}", same[0]);
    let taken = newer_problems("1.1").replace(PROBLEMS, "annat");
    // The code system's name holds the list's name, and was replaced with it.
    let taken = taken.replace("urn:klagomal:kv-annat", PROBLEM_SYSTEM);
    let faults = example_and("other.toml", &taken).unwrap_err();
    assert!(faults[0].text.contains("is already that of the list"), "{}", faults[0]);
}

#[test]
fn without_the_lists_of_the_classification_nothing_is_loaded() {
    let mut files = example_files();
    files.retain(|(file, _)| !file.starts_with("verksamhetsomrade"));
    let faults = CodeLists::parse(&files).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("verksamhetsomrade-*.toml", 0));
}

#[test]
fn the_current_list_is_the_highest_version_by_number() {
    let mut files = example_files();
    files.push(("b.toml".to_owned(), newer_problems("1.9")));
    files.push(("a.toml".to_owned(), newer_problems("1.10")));
    let lists = CodeLists::parse(&files).unwrap();
    assert_eq!(lists.current(PROBLEMS).unwrap().version, "1.10");
    assert_eq!(lists.get(PROBLEMS, "1.9").unwrap().version, "1.9");
    assert_eq!(lists.get(PROBLEMS, "1.8"), None);
    assert_eq!(lists.get("okand", "1.0"), None);
}

#[test]
fn a_code_is_found_by_code_and_system_in_the_version_that_it_names() {
    let lists = example_and("new.toml", &newer_problems("2.0")).unwrap();
    let text = |code: &Code| lists.find(code).map(|(_, listed)| listed.text.clone());
    assert_eq!(text(&code(PROBLEM_SYSTEM, "1")).unwrap(), "Vård (2.0)");
    assert_eq!(text(&code(PROBLEM_SYSTEM, " 9\n")).unwrap(), "Nytt");
    assert_eq!(text(&code(PROBLEM_SYSTEM, "8")), None, "not in the current version");
    assert_eq!(text(&versioned(PROBLEM_SYSTEM, "8", "1.0")).unwrap(), "Administrativ hantering");
    assert_eq!(text(&versioned(PROBLEM_SYSTEM, "9", "1.0")), None);
    assert_eq!(text(&versioned(PROBLEM_SYSTEM, "1", "3.0")), None);
    assert_eq!(text(&code("urn:annat", "1")), None);
    assert_eq!(text(&Code { code: Some("1".to_owned()), ..Code::default() }), None);
}

#[test]
fn a_label_is_the_lists_text_before_the_senders() {
    let lists = example();
    let mut known = code(AREA_SYSTEM, "3");
    known.display_name = Some("Något annat".to_owned());
    assert_eq!(lists.label(&known), "Primärvård");
    let mut unknown = code("urn:annat", "X");
    assert_eq!(lists.label(&unknown), "X");
    unknown.display_name = Some("Egen text".to_owned());
    assert_eq!(lists.label(&unknown), "Egen text");
    assert_eq!(lists.label(&Code::default()), "kod saknas");
}

#[test]
fn a_listed_code_in_wire_form_is_found_again() {
    let lists = example();
    for list in lists.all() {
        for listed in &list.codes {
            assert_eq!(lists.find(&list.coded(listed)), Some((list, listed)));
        }
    }
}

#[test]
fn a_right_classification_says_the_versions_it_was_checked_with() {
    let coded = example()
        .check_classification(&classification(&["1", "3"], &["1.2", "3.1", "3.4"], "1"))
        .unwrap();
    assert_eq!(
        coded.problems,
        ListVersion { name: PROBLEMS.to_owned(), version: "1.0".to_owned() }
    );
    assert_eq!(coded.operational_area.name, OPERATIONAL_AREAS);
    assert!(example().check_classification(&classification(&["POS"], &[], "6")).is_ok());
}

#[test]
fn a_main_problem_is_a_top_level_code_of_its_list() {
    assert_eq!(refused_field(&classification(&[], &[], "1")), "classification/mainProblem");
    assert_eq!(refused_field(&classification(&["1.1"], &[], "1")), "classification/mainProblem");
    assert_eq!(
        refused_field(&classification(&["1", "77"], &[], "1")),
        "classification/mainProblem[2]"
    );
    let mut of_areas = classification(&["1"], &[], "1");
    of_areas.main_problems = vec![code(AREA_SYSTEM, "1")];
    assert_eq!(refused_field(&of_areas), "classification/mainProblem");
}

#[test]
fn a_sub_problem_belongs_to_a_given_main_problem() {
    assert_eq!(refused_field(&classification(&["1"], &["3.1"], "1")), "classification/subProblem");
    assert_eq!(refused_field(&classification(&["1"], &["1"], "1")), "classification/subProblem");
    assert_eq!(
        refused_field(&classification(&["1"], &["1.1", "1.99"], "1")),
        "classification/subProblem[2]"
    );
}

#[test]
fn the_operational_area_is_a_code_of_its_list() {
    assert_eq!(refused_field(&classification(&["1"], &[], "7")), "classification/operationalArea");
    let mut of_problems = classification(&["1"], &[], "1");
    of_problems.operational_area = code(PROBLEM_SYSTEM, "1");
    assert_eq!(refused_field(&of_problems), "classification/operationalArea");
}

#[test]
fn problems_of_one_case_come_from_one_version() {
    let lists = example_and("new.toml", &newer_problems("2.0")).unwrap();
    let mut mixed = classification(&[], &[], "1");
    mixed.main_problems =
        vec![versioned(PROBLEM_SYSTEM, "1", "1.0"), versioned(PROBLEM_SYSTEM, "9", "2.0")];
    let fault = lists.check_classification(&mixed).unwrap_err();
    assert_eq!(fault.field, "classification/mainProblem[2]");
    mixed.main_problems.pop();
    assert_eq!(lists.check_classification(&mixed).unwrap().problems.version, "1.0");
}

#[test]
fn a_refusal_never_repeats_what_was_sent() {
    let fault =
        example().check_classification(&classification(&["201701012393"], &[], "1")).unwrap_err();
    assert!(!fault.to_string().contains("201701012393"));
    assert!(fault.rule.contains(PROBLEM_SYSTEM));
}
