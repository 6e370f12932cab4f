//! A case on paper: PDF/A-2b, A4, in Swedish, with the words as they were written.

use jiff::Timestamp;
use krilla::Document;
use krilla::SerializeSettings;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::error::KrillaError;
use krilla::geom::Point;
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::text::{Font, TextDirection};
use ttf_parser::Face;

use super::{ExportError, Whole, told};
use crate::clock;
use crate::complaint::codes::CodeLists;
use crate::complaint::message::{Complainant, Ii, Relation};

const FONT: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;

/// A4 in points.
const PAGE: (f32, f32) = (595.0, 842.0);

/// From each edge, points: room for the holes of a binder.
const MARGIN: f32 = 62.0;

/// Stands for a character that the font lacks.
const LACKING: char = '?';

/// What a line is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Title,
    Heading,
    Label,
    Text,
}

impl Kind {
    /// Points.
    const fn size(self) -> f32 {
        match self {
            Self::Title => 18.0,
            Self::Heading => 13.0,
            Self::Label => 9.0,
            Self::Text => 10.5,
        }
    }

    /// Points between its baseline and that of the line before, and above the first of several.
    const fn height(self) -> (f32, f32) {
        match self {
            Self::Title => (24.0, 0.0),
            Self::Heading => (18.0, 12.0),
            Self::Label => (12.0, 7.0),
            Self::Text => (14.5, 0.0),
        }
    }
}

pub(super) fn pdf(whole: &Whole, lists: &CodeLists) -> Result<Vec<u8>, ExportError> {
    let failed = |what: &str| ExportError::Pdf(what.to_owned());
    let face = Face::parse(FONT, 0).map_err(|_| failed("the font cannot be read"))?;
    let font = Font::new(FONT.into(), 0).ok_or_else(|| failed("the font cannot be read"))?;
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A2_B);
    let configuration = configuration.finish().map_err(|_| failed("PDF/A-2b is not known"))?;
    let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    let title = format!("Ärende {}", whole.case.number);
    document.set_metadata(
        Metadata::new()
            .title(title.clone())
            .language("sv".to_owned())
            .creator("klagomal".to_owned())
            .creation_date(date(whole.at)),
    );
    let lines = Lines::of(whole, lists, &face).all;
    let pages = paged(&lines);
    for (at, page) in pages.iter().enumerate() {
        let size = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or_else(|| failed("no page"))?;
        let mut sheet = document.start_page_with(size);
        let mut surface = sheet.surface();
        let mut draw = |x: f32, y: f32, size: f32, text: &str| {
            let point = Point::from_xy(x, y);
            surface.draw_text(point, font.clone(), size, text, false, TextDirection::LeftToRight);
        };
        for (y, (kind, text)) in page {
            draw(MARGIN, *y, kind.size(), text);
        }
        let foot = format!("{title} – sida {} av {}", at + 1, pages.len());
        draw(MARGIN, PAGE.1 - MARGIN / 2.0, 8.5, &fitting(&face, &foot));
        surface.finish();
        sheet.finish();
    }
    // The library's own words can hold those of the case.
    document.finish().map_err(|error| match error {
        KrillaError::Validation(broken) => {
            failed(&format!("it breaks {} rules of PDF/A-2b", broken.len()))
        }
        KrillaError::Font(..)
        | KrillaError::Limit(_)
        | KrillaError::DuplicateNamedDestination(_)
        | KrillaError::DuplicateTagId(..)
        | KrillaError::UnknownTagId(..) => failed("the library cannot write it"),
    })
}

fn date(at: Timestamp) -> DateTime {
    let utc = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let part = |it: i8| u8::try_from(it).unwrap_or(0);
    DateTime::new(u16::try_from(utc.year()).unwrap_or(0))
        .month(part(utc.month()))
        .day(part(utc.day()))
        .hour(part(utc.hour()))
        .minute(part(utc.minute()))
        .second(part(utc.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

type Line = (Kind, String);

/// The lines of each page, with the place of their baselines.
fn paged(lines: &[Line]) -> Vec<Vec<(f32, &Line)>> {
    let (top, bottom) = (MARGIN + 12.0, PAGE.1 - MARGIN);
    let mut pages: Vec<Vec<(f32, &Line)>> = vec![Vec::new()];
    let (mut y, mut last) = (top, None);
    for line in lines {
        let (height, above) = line.0.height();
        // A heading is not the last line of a page.
        let needs = if line.0 == Kind::Text { 0.0 } else { 30.0 };
        let begins = last.is_some();
        let step = if begins { height } else { 0.0 };
        let step = if begins && last != Some(line.0) { step + above } else { step };
        y += step;
        if y + needs > bottom {
            pages.push(Vec::new());
            y = top;
        }
        if let Some(page) = pages.last_mut() {
            page.push((y, line));
        }
        last = Some(line.0);
    }
    pages
}

struct Lines<'f> {
    face: &'f Face<'f>,
    all: Vec<Line>,
}

impl<'f> Lines<'f> {
    fn of(whole: &Whole, lists: &CodeLists, face: &'f Face<'f>) -> Self {
        let mut lines = Self { face, all: Vec::new() };
        let (case, complaint) = (&whole.case, &whole.opened.complaint);
        lines.add(Kind::Title, &format!("Ärende {}", case.number));
        lines.entry("Mottagare", &format!("{} ({})", case.receiver_name, case.receiver));
        lines.entry("Mottaget", &moment(case.opened));
        lines.entry("Status", case.status().swedish());
        if complaint.complainant.protected_identity == Some(true) {
            lines.entry("OBS", "Skyddade personuppgifter");
        }
        lines.add(Kind::Heading, "Vem det gäller");
        lines.people(whole);
        lines.add(Kind::Heading, "Anmälarens berättelse");
        lines.entry("Hände", &complaint.event_date.to_string());
        if let Some(place) = told::place(case, complaint) {
            lines.entry("Plats", &place);
        }
        lines.entry("Vill ha svar", told::reply_wish(complaint));
        if !complaint.experienced_problems.is_empty() {
            let problems = told::labels(lists, &complaint.experienced_problems);
            lines.entry("Upplevt problem, enligt anmälaren", &problems);
        }
        lines.entry("Berättelse", &complaint.description);
        if let Some(wish) = &complaint.desired_outcome {
            lines.entry("Det här vill anmälaren", wish);
        }
        lines.add(Kind::Heading, "Vad som har hänt");
        for event in &whole.events {
            lines.add(Kind::Label, &moment(event.at));
            lines.add(Kind::Text, &event.title);
            if let Some(text) = &event.text {
                lines.add(Kind::Text, "");
                lines.add(Kind::Text, text);
            }
            for filed in whole.files.iter().filter(|it| it.seq == event.seq) {
                let kb = filed.file.bytes.div_ceil(1024);
                lines.add(Kind::Text, &format!("Fil: {} ({kb} kB)", filed.file.file_name));
            }
        }
        lines.add(Kind::Label, "Om den här handlingen");
        let about = format!(
            "Uttagen {} ur klagomal. Tecken som inte kan visas här står som {LACKING}; i arende.xml \
             står allt som det skrevs.",
            moment(whole.at)
        );
        lines.add(Kind::Text, &about);
        lines
    }

    fn people(&mut self, whole: &Whole) {
        let complaint = &whole.opened.complaint;
        let it = &complaint.complainant;
        let other = it.relation != Relation::Patient;
        let who = if other { "Anmälare" } else { "Anmälare och patient" };
        self.entry(who, &complainant(it));
        if !other {
            return;
        }
        self.entry("Anmälaren är", told::relation_text(it.relation));
        let patient = complaint.patient.as_ref();
        let id = patient.and_then(|it| it.person_id.as_ref()).and_then(number);
        let name = patient.and_then(|it| it.name.clone());
        let patient: Vec<String> = name.into_iter().chain(id).collect();
        self.entry(
            "Patient",
            &if patient.is_empty() { "okänd".to_owned() } else { patient.join(", ") },
        );
    }

    fn entry(&mut self, label: &str, text: &str) {
        self.add(Kind::Label, label);
        self.add(Kind::Text, text);
    }

    /// Adds a text, in as many lines as it takes.
    fn add(&mut self, kind: Kind, text: &str) {
        let room = PAGE.0 - 2.0 * MARGIN;
        for paragraph in text.split('\n') {
            let paragraph = fitting(self.face, paragraph);
            let mut line = String::new();
            for word in pieces(self.face, &paragraph, kind.size(), room) {
                let longer = format!("{line}{word}");
                if line.is_empty() || width(self.face, longer.trim_end(), kind.size()) <= room {
                    line = longer;
                } else {
                    self.all.push((kind, line.trim_end().to_owned()));
                    line = word;
                }
            }
            self.all.push((kind, line.trim_end().to_owned()));
        }
    }
}

/// The words of a paragraph with the space behind them; one that fits on no line, in parts.
fn pieces(face: &Face<'_>, text: &str, size: f32, room: f32) -> Vec<String> {
    let mut all = Vec::new();
    for word in text.split_inclusive(' ') {
        let mut part = String::new();
        for c in word.chars() {
            part.push(c);
            if width(face, &part, size) > room {
                part.pop();
                all.push(std::mem::replace(&mut part, c.to_string()));
            }
        }
        all.push(part);
    }
    all
}

fn width(face: &Face<'_>, text: &str, size: f32) -> f32 {
    let units = text.chars().filter_map(|c| face.glyph_index(c));
    let units: u32 = units.filter_map(|it| face.glyph_hor_advance(it)).map(u32::from).sum();
    // A line has some thousand units.
    let units = u16::try_from(units).map_or(f32::MAX, f32::from);
    units * size / f32::from(face.units_per_em())
}

/// The text with a mark for each character that the font lacks.
fn fitting(face: &Face<'_>, text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if face.glyph_index(c).is_some_and(|it| it.0 != 0) => c,
        _ => LACKING,
    };
    text.chars().filter(|c| *c != '\r').map(shown).collect()
}

fn complainant(it: &Complainant) -> String {
    let id = it.person_id.as_ref().and_then(number);
    let parts = [it.name.clone(), id, it.phone.clone(), it.email.clone(), it.address.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "anonym".to_owned() } else { parts.join("\n") }
}

fn number(id: &Ii) -> Option<String> {
    id.extension.clone()
}

fn moment(at: Timestamp) -> String {
    at.to_zoned(clock::swedish()).strftime("%Y-%m-%d %H:%M").to_string()
}
