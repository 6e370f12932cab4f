//! Who may do what on the staff page: one function, and one table of every route.
//!
//! | | ärende­mottagare | ärende­hanterare, own case | granskare | kvalitets­ansvarig | lokal administratör |
//! |---|---|---|---|---|---|
//! | see the unit's list | yes | own cases | no | yes | yes |
//! | read a case, write a note | yes | yes | no | yes | no |
//! | assign | yes | yes | no | yes | yes |
//! | take a case | with ärendehanterare | – | no | no | no |
//! | acknowledge, delsvar | yes | yes | no | no | no |
//! | motfråga, svar, close | no | yes | no | no | no |
//! | correct the place (patientnämnd) | no | yes | no | yes | no |
//! | register a case | yes | yes | no | yes | no |
//! | read the access log | no | no | yes | no | no |
//!
//! Roles add up. A role holds at its unit and nowhere else; routing sees to it that nobody has roles
//! both at a patientnämnd and in care.

use std::collections::BTreeSet;

use crate::complaint::case::Case;
use crate::complaint::event::Why;
use crate::id::HsaId;
use crate::tak::{Person, Role};

/// What somebody wants to do at a unit or with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    List,
    Read,
    Take,
    Assign,
    Note,
    Acknowledge,
    PartialReply,
    Question,
    Reply,
    CorrectPlace,
    Close,
    /// Take back what one has sent oneself.
    Undo,
    Register,
    ReviewLog,
}

/// What it is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The unit that has the case.
    pub unit: &'a HsaId,
    /// Whether that is a patientnämnd.
    pub committee: bool,
    /// Who has the case; `None` also where it is about no case.
    pub assigned: Option<&'a HsaId>,
    pub closed: bool,
}

impl<'a> About<'a> {
    /// About a case.
    #[must_use]
    pub fn case(case: &'a Case) -> Self {
        use crate::complaint::message::RecipientKind;
        Self {
            unit: &case.receiver,
            committee: case.kind == RecipientKind::PatientAdvisoryCommittee,
            assigned: case.assigned.as_ref().map(|it| &it.hsa_id),
            closed: case.closed.is_some(),
        }
    }

    /// About a unit.
    #[must_use]
    pub const fn unit(unit: &'a HsaId) -> Self {
        Self { unit, committee: false, assigned: None, closed: false }
    }
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No role at the unit: not even that the case is there is told.
    NoRole,
    /// Would be allowed to whoever has the case.
    NotAssigned,
    /// The roles at the unit do not include this.
    Lacks(&'static str),
    /// Only a patientnämnd does this.
    NotCommittee,
    /// Nothing more happens to a closed case.
    Closed,
}

impl Denied {
    /// For the person, in Swedish.
    #[must_use]
    pub fn swedish(self) -> String {
        match self {
            Self::NoRole => "Sidan finns inte, eller så har du inte behörighet till den.".into(),
            Self::NotAssigned => "Bara den som har ärendet kan göra det här.".into(),
            Self::Lacks(roles) => format!("Det här kräver rollen {roles}."),
            Self::NotCommittee => "Det här görs bara av en patientnämnd.".into(),
            Self::Closed => "Ärendet är avslutat.".into(),
        }
    }
}

/// Whether `person` may do `action`; on what ground, for the access log.
///
/// # Errors
/// Why not.
pub fn authorise(person: &Person, action: Action, about: About<'_>) -> Result<Why, Denied> {
    let roles = person.roles_at(about.unit);
    if roles.is_empty() {
        return Err(Denied::NoRole);
    }
    if about.closed && changes(action) {
        return Err(Denied::Closed);
    }
    if action == Action::CorrectPlace && !about.committee {
        return Err(Denied::NotCommittee);
    }
    let own = match about.assigned {
        Some(it) if *it == person.hsa_id => Some(Why::Handles),
        Some(it) if person.stands_in_for.contains(it) => Some(Why::StandsIn),
        Some(_) | None => None,
    };
    let (by_role, by_case, needs) = allows(action, &roles);
    if let Some(why) = by_role {
        return Ok(own.unwrap_or(why));
    }
    match (by_case && roles.contains(&Role::CaseHandler), own) {
        (true, Some(why)) => Ok(why),
        (true, None) => Err(Denied::NotAssigned),
        (false, _) => Err(Denied::Lacks(needs)),
    }
}

/// On what ground the roles alone allow it; whether having the case does; and what else would.
fn allows(action: Action, roles: &BTreeSet<Role>) -> (Option<Why>, bool, &'static str) {
    let has = |role, why| roles.contains(&role).then_some(why);
    let receives = has(Role::CaseReceiver, Why::Distributes);
    let oversees = has(Role::QualityLead, Why::Oversees);
    let administers = has(Role::LocalAdministrator, Why::Distributes);
    let handles = has(Role::CaseHandler, Why::Handles);
    let reviews = has(Role::LogReviewer, Why::ReviewsLog);
    match action {
        Action::List => (
            receives.or(oversees).or(administers).or(handles),
            false,
            "ärendemottagare, ärendehanterare, kvalitetsansvarig eller lokal administratör",
        ),
        Action::Read | Action::Note => (
            receives.or(oversees),
            true,
            "ärendemottagare, ärendehanterare eller kvalitetsansvarig",
        ),
        Action::Assign => (
            receives.or(oversees).or(administers),
            true,
            "ärendemottagare, kvalitetsansvarig eller lokal administratör",
        ),
        Action::Take => (receives.and(handles), false, "både ärendemottagare och ärendehanterare"),
        Action::Acknowledge | Action::PartialReply => {
            (receives, true, "ärendemottagare eller ärendehanterare")
        }
        Action::Question | Action::Reply | Action::Close => (None, true, "ärendehanterare"),
        Action::CorrectPlace => (oversees, true, "ärendehanterare eller kvalitetsansvarig"),
        Action::Undo => (
            receives.or(oversees).or(handles),
            true,
            "ärendemottagare, ärendehanterare eller kvalitetsansvarig",
        ),
        Action::Register => (
            receives.or(oversees).or(handles),
            false,
            "ärendemottagare, ärendehanterare eller kvalitetsansvarig",
        ),
        Action::ReviewLog => (reviews, false, "granskare"),
    }
}

const fn changes(action: Action) -> bool {
    match action {
        Action::Take
        | Action::Assign
        | Action::Acknowledge
        | Action::PartialReply
        | Action::Question
        | Action::Reply
        | Action::CorrectPlace
        | Action::Close => true,
        // A sent answer closes a case, and taking it back opens it; notes may follow the end.
        Action::List
        | Action::Read
        | Action::Note
        | Action::Undo
        | Action::Register
        | Action::ReviewLog => false,
    }
}

/// Whether the list of a unit shows more than one's own cases.
#[must_use]
pub fn sees_all(person: &Person, unit: &HsaId) -> bool {
    let roles = person.roles_at(unit);
    [Role::CaseReceiver, Role::QualityLead, Role::LocalAdministrator]
        .iter()
        .any(|role| roles.contains(role))
}

/// What a route asks of the one who calls it, before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but a connection: a certificate that the door trusts, or none where it asks for none.
    Connection,
    /// A certificate of somebody who works here, or a session.
    Person,
    /// A session.
    Session,
    /// And that the unit in the path allows it.
    Unit(Action),
    /// And that the case in the path allows it. `shows`: the access log is written before.
    Case { action: Action, shows: bool },
}
