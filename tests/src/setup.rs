//! Configurations for gateways under test, put together from parts, and the runtimes they run on.

use std::net::SocketAddr;

use crate::{Backend, Launch, Weir, sandbox};

/// What a gateway's shards run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    Glommio,
    Epoll,
}

impl Runtime {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glommio => "glommio",
            Self::Epoll => "epoll",
        }
    }

    /// Whether this machine has it; says on the test's output when it has not.
    pub fn is_here(self) -> bool {
        let lack = match self {
            Self::Glommio => sandbox::io_uring_lack(),
            Self::Epoll => None,
        };
        if let Some(reason) = &lack {
            sandbox::say_skipped(reason);
        }
        lack.is_none()
    }
}

/// Makes each of the functions, which take a [`Runtime`], a test on every runtime.
#[macro_export]
macro_rules! on_both_runtimes {
    ($($test:ident),+ $(,)?) => {
        mod glommio {
            $(#[test] fn $test() {
                let runtime = $crate::setup::Runtime::Glommio;
                if runtime.is_here() { super::$test(runtime); }
            })+
        }
        mod epoll {
            $(#[test] fn $test() { super::$test($crate::setup::Runtime::Epoll); })+
        }
    };
}

/// A configuration with one listener, `@port:main@`, a control listener, `@port:control@`, and one
/// upstream, `api`. Unless told otherwise it has one shard, no access log and no health checks, and
/// one route that sends everything to the upstream.
#[derive(Clone)]
pub struct Setup {
    shards: String,
    engine: String,
    listener: String,
    http: String,
    upstream: String,
    health: String,
    access_log: String,
    routes: String,
    tables: String,
}

impl Setup {
    pub fn new(runtime: Runtime) -> Self {
        Self::on(runtime.name())
    }

    /// With a runtime as the configuration names it, `auto` for one.
    pub fn on(runtime: &str) -> Self {
        Self {
            shards: "1".into(),
            engine: format!("runtime = \"{runtime}\"\n"),
            listener: String::new(),
            http: String::new(),
            upstream: String::new(),
            health: "false".into(),
            access_log: "off".into(),
            routes: String::new(),
            tables: String::new(),
        }
    }

    /// In front of `backend`.
    pub fn before(runtime: Runtime, backend: &Backend) -> Self {
        Self::new(runtime).backend(backend.address())
    }

    pub fn backend(mut self, address: SocketAddr) -> Self {
        self.upstream += &format!("[[upstream.backend]]\naddress = \"{address}\"\n");
        self
    }

    pub fn shards(mut self, value: &str) -> Self {
        self.shards = value.into();
        self
    }

    /// Keys of `[engine]`, one a line.
    pub fn engine(mut self, lines: &str) -> Self {
        self.engine += &format!("{lines}\n");
        self
    }

    /// Keys of the listener.
    pub fn listener(mut self, lines: &str) -> Self {
        self.listener += &format!("{lines}\n");
        self
    }

    /// Keys of `[http]`.
    pub fn http(mut self, lines: &str) -> Self {
        self.http += &format!("{lines}\n");
        self
    }

    /// Keys of the upstream, for timeouts.
    pub fn upstream(mut self, lines: &str) -> Self {
        self.upstream = format!("{lines}\n{}", self.upstream);
        self
    }

    pub fn health(mut self, value: &str) -> Self {
        self.health = value.into();
        self
    }

    /// `off`, `stdout` or a path.
    pub fn access_log(mut self, output: &str) -> Self {
        self.access_log = output.into();
        self
    }

    /// A route, of the upstream unless it names another or redirects.
    pub fn route(mut self, lines: &str) -> Self {
        let leads = |line: &str| line.starts_with("upstream") || line.starts_with("redirect");
        let named = lines.lines().any(|line| leads(line.trim_start()));
        let target = if named { "" } else { "upstream = \"api\"\n" };
        self.routes += &format!("[[route]]\n{target}{lines}\n");
        self
    }

    /// Whole tables, such as `[[limit]]`.
    pub fn tables(mut self, text: &str) -> Self {
        self.tables += &format!("{text}\n");
        self
    }

    /// The text, with placeholders.
    pub fn toml(&self) -> String {
        let Self { shards, engine, listener, http, upstream, health, access_log, routes, tables } =
            self;
        let everything = "[[route]]\npath = \"/*\"\nupstream = \"api\"\n";
        let routes = if routes.is_empty() { everything } else { routes };
        // A killed gateway leaves the live rings of its flight recorder for the next start.
        let flight = if engine.contains("flight = ") { "" } else { "flight = 0\n" };
        format!(
            "[engine]\nledger = \"@folder@/ledger\"\nshards = {shards}\n{flight}{engine}\n\
             [[listener]]\naddress = \"127.0.0.1:@port:main@\"\n{listener}\n\
             [control]\naddress = \"127.0.0.1:@port:control@\"\nsocket = \"@folder@/weir.sock\"\n\n\
             [http]\n{http}\n[access_log]\noutput = \"{access_log}\"\n\n{tables}\n\
             [[upstream]]\nname = \"api\"\nhealth = {health}\n{upstream}\n{routes}"
        )
    }

    pub fn launch(&self) -> Launch {
        Launch::new(self.toml())
    }

    /// # Panics
    /// When the gateway does not come up.
    #[track_caller]
    pub fn start(&self) -> Weir {
        self.launch().start()
    }
}
