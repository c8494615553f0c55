//! The command line, and what of it is asked of the engine.

use clap::{Args, Subcommand, ValueEnum};
use weir_protocol::control::{
    BansRequest, LedgerRequest, LimitsRequest, Question, Request, Subject, TopBy,
};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Show the engine and its shards
    Status,
    /// Show every upstream's backends
    Backends,
    /// Read the configuration file again and use it
    Reload,
    /// Answer the requests in flight, then stop
    Drain,
    /// What limits have counted
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Who is kept out
    #[command(subcommand)]
    Bans(BansCommand),
    /// Say what would become of a request, without sending or counting it
    Explain(ExplainArguments),
    /// The ledger on the disk
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Show the counters that are used most
    Top {
        /// What to sort by
        #[arg(long, value_enum, default_value_t = Sort::Used)]
        by: Sort,
        /// Of this limit only
        #[arg(long, value_name = "NAME")]
        limit: Option<String>,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
    /// Show every counter of an address, key or user
    Show(SubjectArguments),
    /// Forget what was counted for an address, key or user
    Reset {
        #[command(flatten)]
        subject: SubjectArguments,
        /// Under this limit only
        #[arg(long, value_name = "NAME")]
        limit: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// The part of the allowance that is used now
    Used,
    /// Requests refused
    Refused,
    /// Requests admitted
    Admitted,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BansCommand {
    /// Show bans, by hand and by limits
    List,
    /// Refuse an address, network, key or user everything
    Add {
        #[command(flatten)]
        subject: SubjectArguments,
        /// For so long, such as 30m or 7d; without it until it is lifted
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        time: Option<u64>,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a ban, by hand or by a limit
    Lift(SubjectArguments),
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArguments {
    /// An address; for bans also a network such as 192.0.2.0/24
    #[arg(long)]
    address: Option<String>,
    /// An API key, by its name
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// A user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArguments {
    /// The path, perhaps with a query
    #[arg(long)]
    path: String,
    #[arg(long, default_value = "GET")]
    method: String,
    #[arg(long)]
    host: Option<String>,
    /// The listener's name or address [default: the first]
    #[arg(long)]
    listener: Option<String>,
    /// The client's address [default: 127.0.0.1]
    #[arg(long)]
    address: Option<String>,
    /// Who asks: an API key, by its name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "tier"])]
    key: Option<String>,
    /// Who asks: the subject of a token
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The tier that the token names
    #[arg(long, value_name = "NAME", requires = "user")]
    tier: Option<String>,
    /// A field, such as "X-Tenant: acme"; may be repeated
    #[arg(long = "header", value_name = "FIELD", value_parser = header)]
    headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Show where counts are and how old they are on the disk
    Status,
    /// Read the files again and compare checksums
    Verify,
    /// Write the journal anew, without what no longer matters
    Compact,
    /// Copy the ledger to a new folder on the engine's host
    Backup {
        #[arg(value_name = "DIR")]
        to: String,
    },
}

impl Command {
    pub(crate) fn request(self) -> Request {
        match self {
            Self::Status => Request::Status,
            Self::Backends => Request::Backends,
            Self::Reload => Request::Reload,
            Self::Drain => Request::Drain,
            Self::Limits(command) => Request::Limits(command.request()),
            Self::Bans(command) => Request::Bans(command.request()),
            Self::Explain(arguments) => Request::Explain(arguments.question()),
            Self::Ledger(command) => Request::Ledger(command.request()),
        }
    }
}

impl LimitsCommand {
    fn request(self) -> LimitsRequest {
        match self {
            Self::Top { by, limit, count } => LimitsRequest::Top { by: by.into(), limit, count },
            Self::Show(subject) => LimitsRequest::Show { subject: subject.subject() },
            Self::Reset { subject, limit } => {
                LimitsRequest::Reset { subject: subject.subject(), limit }
            }
        }
    }
}

impl From<Sort> for TopBy {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Used => Self::Used,
            Sort::Refused => Self::Refused,
            Sort::Admitted => Self::Admitted,
        }
    }
}

impl BansCommand {
    fn request(self) -> BansRequest {
        match self {
            Self::List => BansRequest::List { skip: 0 },
            Self::Add { subject, time, reason } => {
                BansRequest::Add { subject: subject.subject(), seconds: time, reason }
            }
            Self::Lift(subject) => BansRequest::Lift { subject: subject.subject() },
        }
    }
}

impl SubjectArguments {
    /// Exactly one is there: the group says so.
    fn subject(self) -> Subject {
        match (self.address, self.key) {
            (Some(address), _) => Subject::Address(address),
            (None, Some(key)) => Subject::Key(key),
            (None, None) => Subject::User(self.user.unwrap_or_default()),
        }
    }
}

impl ExplainArguments {
    fn question(self) -> Question {
        let Self { path, method, host, listener, address, key, user, tier, headers } = self;
        Question { method, host, path, listener, address, key, user, tier, headers }
    }
}

impl LedgerCommand {
    fn request(self) -> LedgerRequest {
        match self {
            Self::Status => LedgerRequest::Status,
            Self::Verify => LedgerRequest::Verify,
            Self::Compact => LedgerRequest::Compact,
            Self::Backup { to } => LedgerRequest::Backup { to },
        }
    }
}

/// `90s`, `30m`, `12h`, `7d`: whole units, at least a second and at most ten years.
fn seconds(text: &str) -> Result<u64, String> {
    const MOST: u64 = 10 * 366 * 86_400;
    let wrong = || "write a number and s, m, h or d, such as 30m; at most ten years".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit).filter(|seconds| (1..=MOST).contains(seconds));
    seconds.ok_or_else(wrong)
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a name, a colon and a value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_units_within_bounds() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1_800));
        assert_eq!(seconds("12h"), Ok(43_200));
        assert_eq!(seconds("7d"), Ok(604_800));
        for wrong in
            ["", "s", "0s", "5", "5w", "-1s", "1.5h", "99999999d", "18446744073709551615d", "5é"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_is_split_at_its_first_colon() {
        assert_eq!(header("X-T: a:b"), Ok(("X-T".to_owned(), "a:b".to_owned())));
        assert!(header("X-T").is_err());
    }
}
