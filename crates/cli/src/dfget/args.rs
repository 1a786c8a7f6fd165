//! The command line of `dfget`: upstream's flags and environment variables.

use super::origin::Origin;
use bytesize::ByteSize;
use dragonfly_model::{Digest, PieceLayout, Priority};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// `dfget`
#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    /// What to download: a file by http, https, s3, gs, abs, oss, obs, cos, hf, modelscope or hdfs, or a directory of any
    /// of these but http and https
    pub(super) url: Url,

    /// Where to write it; without this, the last part of the URL's path in the current directory. For a directory it is
    /// one, and must be given.
    ///
    /// Given twice, once as `json`, it also selects that form: `-O FILE --output json` is `-O FILE --format json`
    #[arg(short = 'O', long, value_name = "PATH", num_args = 1)]
    output: Vec<PathBuf>,

    /// What is printed to stdout at the end
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Download all that is below the URL. Implied by a slash at its end, but for http and https, which have no
    /// directories
    #[arg(short, long)]
    pub(super) recursive: bool,

    /// Of a directory, only what this matches: `*.bin` names at any depth, `a/*.bin` paths, `a/` all below; may be repeated
    #[arg(short = 'I', long, value_name = "PATTERN")]
    pub(super) include_files: Vec<String>,

    /// Of a directory, nothing that this matches; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude_files: Vec<String>,

    /// A directory with more files is refused
    #[arg(long, value_name = "NUMBER", default_value = "100", env = "DFGET_MAX_FILES")]
    pub(super) max_files: usize,

    /// Files of a directory that are downloaded at a time
    #[arg(long, value_name = "NUMBER", default_value = "5", value_parser = concurrency, env = "DFGET_MAX_CONCURRENT_REQUESTS")]
    pub(super) max_concurrent_requests: usize,

    /// Replace the output if it exists
    #[arg(long, env = "DFGET_OVERWRITE")]
    pub(super) overwrite: bool,

    /// What the content must be, as sha256:HEX, sha512:HEX or crc32:NUMBER; on a mismatch no file is left
    #[arg(long)]
    pub(super) digest: Option<Digest>,

    /// A header for the origin, as "Name: value"; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER", value_parser = header)]
    pub(super) header: Vec<Header>,

    /// Separates this content from equal URLs with another tag
    #[arg(long, default_value = "", hide_default_value = true, env = "DFGET_TAG")]
    pub(super) tag: String,

    /// Name of the application, which also separates
    #[arg(long, default_value = "", hide_default_value = true, env = "DFGET_APPLICATION")]
    pub(super) application: String,

    /// A query parameter that says nothing about the content; may be repeated. Replaces the built-in list of
    /// signatures and dates
    #[arg(long, value_name = "NAME")]
    pub(super) filtered_query_param: Vec<String>,

    /// Length of pieces, 4MiB to 64MiB; by the length of the content if absent
    #[arg(long, value_name = "SIZE", value_parser = piece_length, env = "DFGET_PIECE_LENGTH")]
    pub(super) piece_length: Option<ByteSize>,

    /// 0 to 6: 1 is refused, 2 never makes anyone go to the origin, 3 goes there itself, others let a seed peer go
    #[arg(short, long, default_value = "6", value_parser = priority, env = "DFGET_PRIORITY")]
    pub(super) priority: Priority,

    /// Text that alone decides which content this is, whatever the URL says
    #[arg(long, value_name = "TEXT", env = "DFGET_CONTENT_FOR_CALCULATING_TASK_ID")]
    pub(super) content_for_calculating_task_id: Option<String>,

    /// Take it from peers or fail
    #[arg(long, env = "DFGET_DISABLE_BACK_TO_SOURCE")]
    pub(super) disable_back_to_source: bool,

    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = humantime::parse_duration, env = "DFGET_TIMEOUT")]
    pub(super) timeout: Duration,

    /// The socket of dfdaemon
    #[arg(
        short,
        long,
        value_name = "SOCKET",
        default_value = "/var/run/dragonfly/dfdaemon.sock"
    )]
    pub(super) endpoint: PathBuf,

    /// Draw no progress bar; none is drawn either if stderr is no terminal
    #[arg(long, env = "DFGET_NO_PROGRESS")]
    pub(super) no_progress: bool,

    /// Let the bytes come over the socket even where dfdaemon could write the file itself
    #[arg(long, env = "DFGET_TRANSFER_FROM_DFDAEMON", conflicts_with = "force_hard_link")]
    pub(super) transfer_from_dfdaemon: bool,

    /// Make the output a hard link to dfdaemon's cache, or fail. Dragonfly's own dfdaemon refuses it: whoever writes
    /// to the file later would damage the cache
    #[arg(long, env = "DFGET_FORCE_HARD_LINK")]
    pub(super) force_hard_link: bool,

    /// Level of what --console logs
    #[arg(short, long, value_name = "LEVEL", default_value = "info", env = "DFGET_LOG_LEVEL")]
    pub(crate) log_level: String,

    /// Log to stderr
    #[arg(long, env = "DFGET_CONSOLE")]
    pub(crate) console: bool,

    #[command(flatten)]
    pub(super) origin: Origin,
}

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line that says where the bytes came from
    #[default]
    Human,
    /// One JSON object, also for errors
    Json,
}

/// A header of the caller. Its value may be a credential and is never printed.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

/// Why the flags together make no sense; clap's checks saw each alone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArgsError {
    /// More than one path.
    #[error("--output was given {0} times; once is enough")]
    ManyOutputs(usize),
    /// Nowhere to write a directory to.
    #[error("say where to write the directory with -O DIR")]
    NoDirectory,
    /// What names one content can't name many.
    #[error("--digest and --content-for-calculating-task-id name one content; leave them out for a directory")]
    OneForMany,
    /// Nothing to name the file by.
    #[error("the URL names no file; say where to write with -O PATH")]
    NoName,
}

impl Args {
    /// Where to write, and in which form to report.
    pub(super) fn output(&self) -> Result<(PathBuf, Format), ArgsError> {
        let json = |path: &Path| path.as_os_str() == "json";
        match self.output.as_slice() {
            [] => Ok((name_of(&self.url)?, self.format)),
            [path] => Ok((path.clone(), self.format)),
            // The form is the one that is called json; if both are, it does not matter.
            [path, form] if json(form) => Ok((path.clone(), Format::Json)),
            [form, path] if json(form) => Ok((path.clone(), Format::Json)),
            many => Err(ArgsError::ManyOutputs(many.len())),
        }
    }

    /// The same for one file of the directory.
    pub(super) fn for_file(&self, url: Url) -> Self {
        Self { url, ..self.clone() }
    }

    /// Whether no path was given.
    pub(super) fn output_is_missing(&self) -> bool {
        self.output.is_empty()
    }

    /// The form to report in, for errors in the other flags too.
    pub(super) fn format(&self) -> Format {
        // A directory's URL names no file.
        match self.output.as_slice() {
            [] => self.format,
            _ => self.output().map_or(self.format, |(_, format)| format),
        }
    }
}

/// The last segment of the path, decoded, if it can be a file name.
fn name_of(url: &Url) -> Result<PathBuf, ArgsError> {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back());
    let name = percent_encoding::percent_decode_str(segment.unwrap_or_default()).decode_utf8_lossy();
    let special = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    if special {
        Err(ArgsError::NoName)
    } else {
        Ok(name.into_owned().into())
    }
}

fn header(text: &str) -> Result<Header, String> {
    // The text is not repeated: it may hold a credential.
    let (name, value) = text.split_once(':').ok_or("write it as \"Name: value\"")?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::try_from(name).map_err(|_| "the name has characters that no header has")?;
    http::HeaderValue::try_from(value).map_err(|_| "the value has characters that no header has")?;
    Ok(Header {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

fn piece_length(text: &str) -> Result<ByteSize, String> {
    let length: ByteSize = text.parse()?;
    let allowed = PieceLayout::MIN_PIECE_LENGTH..=PieceLayout::MAX_PIECE_LENGTH;
    if allowed.contains(&length.as_u64()) {
        Ok(length)
    } else {
        Err("use 4MiB to 64MiB".to_owned())
    }
}

fn concurrency(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| "use 1 to 100".to_owned())
}

fn priority(text: &str) -> Result<Priority, String> {
    let number: i32 = text.parse().map_err(|_| "use a number from 0 to 6")?;
    Priority::from_number(number).ok_or_else(|| "use a number from 0 to 6".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Args {
        let line = ["dfget"].iter().chain(line);
        Line::try_parse_from(line)
            .unwrap_or_else(|error| panic!("{error}"))
            .args
    }

    fn refused(line: &[&str]) -> String {
        let line = ["dfget"].iter().chain(line);
        match Line::try_parse_from(line) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn without_an_output_the_url_names_the_file() {
        let of = |url: &str| args(&[url]).output();
        assert_eq!(of("http://o/a/b%20c.bin?x=1"), Ok(("b c.bin".into(), Format::Human)));
        for nameless in [
            "http://o",
            "http://o/a/",
            "http://o/a/%2e%2e",
            "http://o/..%2Fetc%2Fpasswd",
        ] {
            assert_eq!(of(nameless), Err(ArgsError::NoName), "{nameless}");
        }
    }

    #[test]
    fn output_json_beside_a_path_is_a_form_and_alone_it_is_a_path() {
        let of = |line: &[&str]| args(line).output();
        assert_eq!(of(&["http://o/a", "-O", "json"]), Ok(("json".into(), Format::Human)));
        let json = Ok(("x".into(), Format::Json));
        assert_eq!(of(&["http://o/a", "-O", "x", "--output", "json"]), json);
        assert_eq!(of(&["http://o/a", "--output", "json", "-O", "x"]), json);
        assert_eq!(of(&["http://o/a", "-O", "x", "--format", "json"]), json);
        assert_eq!(
            of(&["http://o/a", "-O", "x", "-O", "y"]),
            Err(ArgsError::ManyOutputs(2))
        );
    }

    #[test]
    fn a_malformed_header_is_refused_without_its_value() {
        let shown = refused(&["http://o/a", "-H", "Authorization: Bearer s3cr\u{0}et"]);
        assert!(shown.contains("no header has"), "{shown}");
        let header = &args(&["http://o/a", "-H", "Authorization:  Bearer x"]).header[0];
        assert_eq!(
            (header.name.as_str(), header.value.as_str()),
            ("Authorization", "Bearer x")
        );
    }

    #[test]
    fn sizes_and_priorities_outside_their_range_are_refused() {
        assert!(refused(&["http://o/a", "--piece-length", "1MiB"]).contains("use 4MiB to 64MiB"));
        assert!(refused(&["http://o/a", "--priority", "7"]).contains("0 to 6"));
        assert!(refused(&["http://o/a", "--digest", "md5:00"]).contains("use sha256, sha512 or crc32"));
        assert_eq!(
            args(&["http://o/a", "--piece-length", "8MiB"]).piece_length,
            Some(ByteSize::mib(8))
        );
    }
}
