//! The days on which nothing is expected of anybody: weekends, Swedish public holidays, three eves.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday, date};

/// Whether `day` is a working day: none of the public holidays of lag (1989:253), and none of the
/// days that lag (1930:173) 2 § puts beside them: Saturdays, midsommarafton, julafton, nyårsafton.
pub(super) fn is_working(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_holiday(day)
}

/// A public holiday, or an eve that counts as one; Sundays are not told apart here.
fn is_holiday(day: Date) -> bool {
    let fixed = matches!(
        (day.month(), day.day()),
        // Nyårsdagen, trettondedag jul, första maj, nationaldagen, julafton to annandag jul, nyårsafton.
        (1, 1 | 6) | (5, 1) | (6, 6) | (12, 24..=26 | 31)
    );
    fixed || is_by_easter(day) || is_midsummer(day) || is_all_saints(day)
}

/// Långfredagen, annandag påsk, Kristi himmelsfärdsdag; påskdagen and pingstdagen are Sundays.
fn is_by_easter(day: Date) -> bool {
    let easter = easter(day.year());
    [-2, 1, 39_i64].into_iter().any(|days| easter.checked_add(days.days()).ok() == Some(day))
}

/// Midsommarafton, the Friday of 19 to 25 June, and midsommardagen, the Saturday after it.
fn is_midsummer(day: Date) -> bool {
    let range = match day.weekday() {
        Weekday::Friday => 19..=25,
        Weekday::Saturday => 20..=26,
        Weekday::Monday
        | Weekday::Tuesday
        | Weekday::Wednesday
        | Weekday::Thursday
        | Weekday::Sunday => return false,
    };
    day.month() == 6 && range.contains(&day.day())
}

/// Alla helgons dag: the Saturday of 31 October to 6 November.
fn is_all_saints(day: Date) -> bool {
    let within = matches!((day.month(), day.day()), (10, 31) | (11, 1..=6));
    within && day.weekday() == Weekday::Saturday
}

/// Påskdagen, by Gauss's way for the Gregorian calendar.
fn easter(year: i16) -> Date {
    let y = i32::from(year);
    let (a, century) = (y % 19, y / 100);
    let moon = (century - century / 4 - (8 * century + 13) / 25 + 19 * a + 15) % 30;
    let moon = moon - (moon / 28) * (1 - (29 / (moon + 1)) * ((21 - a) / 11));
    let weekday = (y + y / 4 + moon + 2 - century + century / 4) % 7;
    // Days after 28 March; from -6 to 28.
    let march = date(year, 3, 28);
    march.checked_add((moon - weekday).days()).unwrap_or(march)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_where_the_almanac_has_it() {
        let known = [
            (1954, 4, 18),
            (1981, 4, 19),
            (2000, 4, 23),
            (2008, 3, 23),
            (2011, 4, 24),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2038, 4, 25),
            (2049, 4, 18),
            (2076, 4, 19),
        ];
        for (year, month, day) in known {
            assert_eq!(easter(year), date(year, month, day));
        }
        assert!((1900..2300).all(|year| easter(year).weekday() == Weekday::Sunday));
    }

    #[test]
    fn the_weekdays_of_2026_without_work_are_these() {
        let all = date(2026, 1, 1).series(1.day()).take(365);
        let free: Vec<String> = all
            .filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday))
            .filter(|day| !is_working(*day))
            .map(|day| day.strftime("%m-%d").to_string())
            .collect();
        let expected = [
            "01-01", "01-06", "04-03", "04-06", "05-01", "05-14", "06-19", "12-24", "12-25",
            "12-31",
        ];
        assert_eq!(free, expected);
    }

    #[test]
    fn movable_days_fall_on_their_weekday_in_every_year() {
        for year in 1990..2100 {
            let days: Vec<Date> =
                date(year, 1, 1).series(1.day()).take_while(|day| day.year() == year).collect();
            let count = |is: fn(Date) -> bool| days.iter().filter(|day| is(**day)).count();
            assert_eq!((count(is_midsummer), count(is_all_saints)), (2, 1), "{year}");
            assert_eq!(count(is_by_easter), 3, "{year}");
        }
    }
}
