//! Orders: what is added, changed, ended and removed, and what stands in the way.

use super::*;

fn order(day: &str, add: &str, remove: &str) -> String {
    format!(
        r#"{{ "plattform": "TEST", "formatVersion": "1.0", "version": 1, "utforare": "Lisa",
           "bestallningsTidpunkt": "2026-05-01T10:00:00+0200",
           "genomforandeTidpunkt": "{day}T12:00:00+0200", "kommentar": "",
           "inkludera": {{ "tjanstekontrakt": [], "logiskadresser": [], "tjanstekomponenter": [], {add} }},
           "exkludera": {{ {remove} }} }}"#
    )
}

fn vagval(url: &str) -> String {
    format!(
        r#""vagval": [ {{ "adress": "{url}", "logiskAdress": "se0000000000-ab12",
           "tjanstekontrakt": "{CARE}", "rivtaprofil": "RIVTABP21", "tjanstekomponent": "X" }} ]"#
    )
}

fn behorighet() -> String {
    format!(
        r#""anropsbehorigheter": [ {{ "logiskAdress": "SE0000000000-AB12",
           "tjanstekontrakt": "{CARE}", "tjanstekonsument": "SE0000000000-B001" }} ]"#
    )
}

/// What an order makes of the folder that the answers gave: `url from to` of each route, and the
/// days of each permission.
fn after(folder: &[Source], text: &str) -> (String, String, Report) {
    let done = import(&[source("order.json", text)], folder, now()).unwrap();
    let told = |name| {
        let keys = ["address = ", "from = ", "to = "];
        let lines = body(&done, name).lines();
        let values = lines.filter_map(|line| keys.iter().find_map(|it| line.strip_prefix(it)));
        values.collect::<Vec<_>>().join(" ")
    };
    (told(ROUTES), told(PERMISSIONS), done.report)
}

const OLD: &str = "https://producer.example.se:8443/case/submit";

fn folder() -> Vec<Source> {
    imported(&[ROUTES_XML, PERMISSIONS_XML]).files
}

#[test]
fn a_new_url_ends_the_old_the_day_before() {
    let (routes, _, report) = after(&folder(), &order("2026-07-01", &vagval("https://n.se/"), ""));
    assert_eq!(
        routes,
        format!("\"{OLD}\" 2024-02-01 2026-06-30 \"https://n.se/\" 2026-07-01 2126-07-01")
    );
    assert_eq!(report.left, []);
    assert!(report.notes.contains(&"order of 2026-07-01: 1 changed (uppdaterad)".to_owned()));
}

#[test]
fn what_is_so_already_is_left_alone_and_new_rows_hold_a_hundred_years() {
    let add = format!("{}, {}", vagval(OLD), behorighet());
    let before = after(&folder(), &order("2026-07-01", "\"vagval\": []", ""));
    let (routes, permissions, report) = after(&folder(), &order("2026-07-01", &add, ""));
    assert_eq!((&routes, &permissions), (&before.0, &before.1));
    assert!(report.notes.contains(&"order of 2026-07-01: 2 so already".to_owned()));
    let (routes, permissions, report) = after(&[], &order("2026-07-01", &add, ""));
    assert_eq!(routes, format!("\"{OLD}\" 2026-07-01 2126-07-01"));
    assert_eq!(permissions, "2026-07-01 2126-07-01");
    assert_eq!((report.routes, report.permissions, report.systems), (1, 1, 1));
}

#[test]
fn what_is_removed_ends_the_day_before_or_goes_where_it_had_not_begun() {
    let remove = format!("{}, {}", vagval(OLD), behorighet());
    let (routes, permissions, _) =
        after(&folder(), &order("2026-07-01", "\"vagval\": []", &remove));
    assert_eq!(routes, format!("\"{OLD}\" 2024-02-01 2026-06-30"));
    assert_eq!(permissions, "2024-02-01 2026-06-30");
    let at = |day| after(&folder(), &order(day, "\"vagval\": []", &remove));
    assert_eq!(at("2024-02-02").0, format!("\"{OLD}\" 2024-02-01 2024-02-01"));
    assert_eq!((at("2024-02-01").0.as_str(), at("2024-02-01").1.as_str()), ("", ""));
    assert_eq!((at("2023-01-01").0.as_str(), at("2023-01-01").1.as_str()), ("", ""));
    let (routes, _, report) =
        after(&folder(), &order("2026-07-01", "\"vagval\": []", &vagval("https://other.se/")));
    assert_eq!(routes, format!("\"{OLD}\" 2024-02-01 2124-02-01"));
    assert!(report.notes.iter().any(|it| it.ends_with("1 not there (existerar ej)")));
}

#[test]
fn a_later_route_or_one_in_an_own_file_stands_in_the_way() {
    let (_, _, report) = after(&folder(), &order("2024-01-01", &vagval("https://n.se/"), ""));
    assert!(report.left[0].why.contains("begins later"), "{report:?}");
    assert_eq!(report.left[0].place, "order.json: inkludera vagval no. 1");
    let own = format!(
        "[[route]]\ncontract = \"{CARE}\"\nlogical_address = \"SE0000000000-AB12\"\n\
         address = \"https://own.se/\"\n"
    );
    let folder = [source("own.toml", &own)];
    let remove = vagval("https://own.se/");
    let (_, _, report) = after(&folder, &order("2026-07-01", "\"vagval\": []", &remove));
    assert!(report.left[0].why.contains("a file of your own"), "{report:?}");
}

#[test]
fn orders_are_carried_out_in_the_order_of_their_days() {
    let first = order("2026-07-01", &vagval("https://first.se/"), "");
    let second = order("2026-08-01", &vagval("https://second.se/"), "");
    let files = [source("b", &second), source("a", &first)];
    let done = import(&files, &folder(), now()).unwrap();
    assert_eq!(done.report.left, []);
    assert_eq!(done.report.routes, 3);
}

#[test]
fn an_order_without_a_day_or_with_a_row_twice_is_refused_whole() {
    // A day in years that the folder does not take could never be read again.
    for day in ["2026-02-30", "4610-07-01", "1900-01-01", "0000-01-01"] {
        assert!(refused(&order(day, &vagval(OLD), "")).contains("genomforandeTidpunkt"), "{day}");
    }
    assert!(refused(&order("2026-07-01", &vagval(OLD), &vagval(OLD))).contains("is there twice"));
    let both = order("2026-07-01", &behorighet(), &behorighet());
    assert!(refused(&both).contains("is there twice"));
}

#[test]
fn an_order_does_not_lose_what_it_cannot_read() {
    let mut folder = folder();
    for file in &mut folder {
        if file.name == ROUTES {
            file.text.push_str("[[route]]\ncontract = \n");
        }
    }
    let text = order("2026-07-01", &vagval(OLD), "");
    let error = import(&[source("in", &text)], &folder, now()).unwrap_err().to_string();
    assert!(error.contains("imported-routes.toml:"), "{error}");
}

#[test]
fn names_stay_when_an_order_rewrites_the_files() {
    let first = imported(&[PUBLICATION, CONTRACTS_XML]).files;
    let text = order("2026-07-01", &vagval("https://n.se/"), "");
    let done = import(&[source("in", &text)], &first, now()).unwrap();
    let routes = body(&done, ROUTES);
    assert!(routes.contains("# Y\n[[route]]"), "{routes}");
    assert!(routes.contains("\"TEST\" # Adress TEST\n"), "{routes}");
}
