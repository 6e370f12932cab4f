//! Every kind of fault there is, which of them a run has, and how often each has struck.

use std::collections::BTreeMap;
use std::fmt;

use crate::messages::Random;

macro_rules! faults {
    ($($(#[$told:meta])* $name:ident,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$told])* $name,)* }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    // -- the way to a peer
    NameNotResolved,
    ConnectionRefused,
    TlsRefused,
    ClosedBeforeBegun,
    RequestCutShort,
    RequestLost,
    ResetUnread,
    RequestLate,
    RequestTwice,
    // -- the way back
    AnswerLost,
    AnswerNeverEnds,
    AnswerCutShort,
    AnswerTooLarge,
    AnswerNotHttp,
    AnswerSlow,
    // -- what a peer answers without having taken the message
    Answers500,
    Answers503,
    Answers404,
    AnswersRedirect,
    AnswersFaultServer,
    AnswersFaultClient,
    AnswersVp004,
    AnswersVp008,
    AnswersTechnicalError,
    AnswersValidationError,
    // -- what leaves it open whether it has taken it
    Answers502,
    Answers504,
    AnswersVp009,
    AnswersGarbage,
    AnswersHtml,
    AnswersNothing,
    AnswersOtherContract,
    AnswersOkUnder500,
    AnswersWrongContentType,
    // -- what a peer is like
    PeerDown,
    PeerHangs,
    PeerForgets,
    PeerChangesMind,
    PeerLiesDone,
    PeerLiesRefused,
    InboxInactive,
    // -- the way to us
    CallLost,
    CallCutShort,
    CallerHangsUp,
    OurAnswerLost,
    CallTwiceAtOnce,
    CallRepeatedLater,
    CallOutOfOrder,
    OtherContentSameId,
    CallerNotPermitted,
    WrongHandler,
    // -- the process
    KilledBeforeWrite,
    KilledAfterWrite,
    KilledBeforeCall,
    KilledDuringCall,
    KilledBeforeOutcome,
    Killed,
    Restarted,
    // -- the disk
    WriteFails,
    SyncFails,
    DiskFull,
    LittleSpace,
    DiskSlow,
    PowerCutInWrite,
    PowerCutInSync,
    PowerCutLosesAll,
    PowerCutTearsWrites,
    PowerCutKeepsAll,
    BitFlipped,
    // -- the views
    ViewsLost,
    ViewsBehind,
    ViewsFail,
    // -- the clock
    ClockForth,
    ClockBack,
    LeapDay,
    SummerTimeBegins,
    SummerTimeEnds,
    YearEnds,
    // -- the configuration
    UnitMoves,
    ReceiverMoves,
    AddressMoves,
    SystemGone,
    UnitGone,
    BadConfiguration,
    // -- operators
    OperatorRetries,
    OperatorHolds,
    OperatorDiscards,
    OperatorMarksDelivered,
}

/// Which faults a run has, and how probable each is where it could strike: some never, some often.
#[derive(Debug)]
pub struct Swarm(BTreeMap<Fault, u64>);

impl Swarm {
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    pub fn pick(random: &mut Random) -> Self {
        let share = [8, 25, 50][usize::try_from(random.below(3)).unwrap()];
        let mut faults = BTreeMap::new();
        for fault in Fault::ALL {
            if random.below(100) < share {
                let one_in = [3, 6, 15, 40][usize::try_from(random.below(4)).unwrap()];
                faults.insert(*fault, one_in);
            }
        }
        Self(faults)
    }

    /// Whether `fault` strikes this time.
    pub fn strikes(&self, fault: Fault, random: &mut Random) -> bool {
        self.0.get(&fault).is_some_and(|one_in| random.below(*one_in) == 0)
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains_key(&fault)
    }
}

/// How often each fault has struck.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<Fault, u64>);

impl Tally {
    pub fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} kinds of fault, and how often each has struck:", Fault::ALL.len())?;
        for fault in Fault::ALL {
            writeln!(f, "  {:<24} {:>8}", format!("{fault:?}"), self.of(*fault))?;
        }
        Ok(())
    }
}
