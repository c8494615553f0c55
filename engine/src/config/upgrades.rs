/// The protocols that a request may leave HTTP for (RFC 9110 section 7.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrades {
    /// These, in lower case and without a version; none when empty.
    Only(Vec<String>),
    /// Whatever is asked for. Never `h2c`, whose requests would be seen by no rule.
    Any,
}

impl Default for Upgrades {
    fn default() -> Self {
        Self::Only(vec!["websocket".to_owned()])
    }
}

impl Upgrades {
    /// `name` is without a version, in any case of letters.
    pub fn allow(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)),
            Self::Any => true,
        }
    }
}
