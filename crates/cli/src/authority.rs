//! `dragonfly manager ca`: certificates for the TLS between manager, schedulers and peers.

use crate::console;
use crate::failure::Failure;
use dragonfly_manager::ca::{Authority, Component, Error, MAX_DAYS, Name, Order};
use dragonfly_service::exit;
use jiff::Timestamp;
use std::net::IpAddr;
use std::path::PathBuf;

/// Days for which a certificate is good if nobody says how many.
const DAYS: u16 = 365;

const EXAMPLES: &str = "\
Examples:
  dragonfly manager ca init --dir ca
  dragonfly manager ca issue --dir ca --for manager   --name manager.example.com --ip 10.0.0.1 --out tls/manager
  dragonfly manager ca issue --dir ca --for scheduler --ip 10.1.0.2 --out tls/scheduler-1
  dragonfly manager ca issue --dir ca --for peer      --ip 10.1.0.9 --ip fd00::9 --out tls/node-9
  dragonfly manager ca renew --dir ca tls/*/*.crt

Keep the directory of the authority where no service runs: who has ca.key can be anybody. A certificate names one
component by the names and addresses under which others call it; programs read theirs when they start.

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 64 what was asked for can't be signed.";

/// The authority.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make an authority; one that is there is never overwritten
    Init {
        /// Where it shall live
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Make a component's key and certificate, and print the part of its configuration that uses them
    Issue(Issue),
    /// Sign certificates again, for the same component, names and key; the files are replaced
    Renew {
        /// Where the authority lives
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// For how many days from now
        #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_DAYS)))]
        days: u16,
        /// The certificates
        #[arg(required = true, value_name = "CERT")]
        certs: Vec<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Issue {
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whose it is
    #[arg(long = "for", value_enum, value_name = "COMPONENT")]
    component: For,
    /// A host name under which others call it; more than once for more
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<Name>,
    /// An address at which others call it, IPv4 or IPv6; more than once for more
    #[arg(long = "ip", value_name = "IP")]
    ips: Vec<IpAddr>,
    /// For how many days
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_DAYS)))]
    days: u16,
    /// Where <COMPONENT>.crt, <COMPONENT>.key and ca.crt are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum For {
    Manager,
    Scheduler,
    SeedPeer,
    Peer,
}

impl From<For> for Component {
    fn from(component: For) -> Self {
        match component {
            For::Manager => Self::Manager,
            For::Scheduler => Self::Scheduler,
            For::SeedPeer => Self::SeedPeer,
            For::Peer => Self::Peer,
        }
    }
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let now = Timestamp::now();
    let done = match args.verb {
        Verb::Init { dir } => Authority::create(&dir, now).map(|authority| {
            let (path, ends) = (authority.certificate(), authority.ends());
            note(&format!("made an authority; {} ends on {ends}", path.display()));
        }),
        Verb::Issue(issue) => issue.run(now),
        Verb::Renew { dir, days, certs } => renew(&dir, days, &certs, now),
    };
    done.map_err(|error| {
        let code = match &error {
            Error::Order(_) => exit::BAD_CONFIG,
            _ => exit::FAILURE,
        };
        Failure::of(&error, code)
    })
}

impl Issue {
    fn run(self, now: Timestamp) -> Result<(), Error> {
        let ips: Result<Vec<Name>, _> = self.ips.into_iter().map(Name::ip).collect();
        let mut names = self.names;
        names.extend(ips.map_err(Error::Name)?);
        let component = self.component.into();
        let order = Order::new(component, names, self.days)?;
        let out = std::path::absolute(&self.out).unwrap_or(self.out);
        let issued = Authority::open(&self.dir, now)?.issue(&order, &out, now)?;
        note(&format!("{} ends on {}", issued.cert.display(), issued.ends));
        console::say(&issued.configuration(component));
        Ok(())
    }
}

fn renew(dir: &std::path::Path, days: u16, certs: &[PathBuf], now: Timestamp) -> Result<(), Error> {
    let authority = Authority::open(dir, now)?;
    for cert in certs {
        let ends = authority.renew(cert, days, now)?;
        note(&format!(
            "{} ends on {ends}; restart the program that uses it",
            cert.display()
        ));
    }
    Ok(())
}

/// For people; stdout is for configuration.
fn note(text: &str) {
    anstream::eprintln!("{text}");
}
