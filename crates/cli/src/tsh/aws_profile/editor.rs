//! Puts profiles into the text of an AWS config file and takes them out again, byte for byte.
//!
//! A profile of ours stands between two comment lines that name it. Everything else in the file is somebody else's
//! and is never touched, whatever it is: bytes are only added, and only our own are taken away. What was at the place
//! before (no newline at the end of the file, no file at all) is noted in the first line, so that the last removal
//! leaves what the first writer found.

use std::ops::Range;

use access::AppName;
use aws::RoleArn;
use thiserror::Error;

const START: &str = "# >>> tsh aws-profile ";
const START_END: &str = " >>>";
const END: &str = "# <<< tsh aws-profile ";
const END_END: &str = " <<<";
const NOTE: &str = "# Written by tsh and removed at logout; changes in here are lost.";

/// The name of a profile: what every tool takes without quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileName(String);

/// A text that is no name for a profile.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a profile's name has 1 to 128 letters, digits and any of . _ - @ + = ,")]
pub struct BadProfileName;

impl ProfileName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it has other characters than every tool takes.
    pub fn parse(text: &str) -> Result<Self, BadProfileName> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-@+=,".contains(c);
        let is_name = (1..=128).contains(&text.len()) && text.chars().all(fits);
        if is_name { Ok(Self(text.to_owned())) } else { Err(BadProfileName) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose a profile is and what it stands for: the words of its first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The profile.
    pub name: ProfileName,
    /// Which login wrote it.
    pub login: String,
    /// The app.
    pub app: AppName,
    /// The AWS role.
    pub role: RoleArn,
}

/// What was there before a profile was put at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A whole line, an empty file, or another profile of ours.
    Kept,
    /// A line without its end: this was added.
    Added(LineEnd),
    /// No file.
    NoFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Lf,
    CrLf,
}

impl LineEnd {
    fn of(text: &[u8]) -> Self {
        let first = text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.ends_with(b"\r\n") { Self::CrLf } else { Self::Lf }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }
}

/// Why a profile is not written.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Clash {
    /// Somebody else's profile has the name.
    #[error("the file already has a profile `{0}` that tsh has not written")]
    Foreign(String),
    /// A profile of another login has the name.
    #[error("profile `{0}` was written for another login of tsh")]
    OtherLogin(String),
}

/// What is left of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// Its text; `None` when the file was not there before ours and nothing else has come into it.
    pub text: Option<Vec<u8>>,
    /// The profiles that were taken out.
    pub removed: Vec<Marker>,
}

/// Puts a profile into a file, or in the place of the one with its name. `None` is a file that is not there.
///
/// # Errors
/// When the name is somebody else's.
pub fn put(file: Option<&[u8]>, marker: &Marker, lines: &[String]) -> Result<Vec<u8>, Clash> {
    let text = file.unwrap_or_default();
    let name = marker.name.as_str();
    let blocks = blocks(text);
    if foreign_sections(text, &blocks).any(|section| section == name) {
        return Err(Clash::Foreign(name.to_owned()));
    }
    let Some(there) = blocks.iter().find(|block| block.marker.name == marker.name) else {
        return Ok(append(file, marker, lines));
    };
    if there.marker.login != marker.login {
        return Err(Clash::OtherLogin(name.to_owned()));
    }
    let block = block_text(marker, lines, (there.before, there.line_end));
    Ok(splice(text, there.range.clone(), &block))
}

fn append(file: Option<&[u8]>, marker: &Marker, lines: &[String]) -> Vec<u8> {
    let text = file.unwrap_or_default();
    let end = LineEnd::of(text);
    let before = match file {
        None => Before::NoFile,
        Some(text) if text.is_empty() || text.ends_with(b"\n") => Before::Kept,
        Some(_) => Before::Added(end),
    };
    let mut new = text.to_vec();
    if before == Before::Added(end) {
        new.extend(end.text().bytes());
    }
    new.extend(block_text(marker, lines, (before, end)));
    new
}

/// Takes out the profiles that are to go.
pub fn remove(text: &[u8], goes: impl Fn(&Marker) -> bool) -> Left {
    let mut text = text.to_vec();
    let mut removed = Vec::new();
    let mut file_goes = false;
    // Each removal moves the rest; the text is small.
    while let Some(at) = blocks(&text).iter().position(|block| goes(&block.marker)) {
        let mut all = blocks(&text);
        let next = if at + 1 < all.len() { Some(all.remove(at + 1)) } else { None };
        let block = all.remove(at);
        let range = block.range.clone();
        let heir = next.filter(|next| next.range.start == range.end);
        match (heir, block.before) {
            // The next profile of ours stands where this one stood.
            (Some(heir), before) => {
                text = splice(&text, heir.start_line.clone(), &start_line(&heir, before));
                text = splice(&text, range, &[]);
            }
            (None, Before::Added(end)) if range.end == text.len() => {
                let added = end.text().len();
                text = splice(&text, range.start.saturating_sub(added)..range.end, &[]);
            }
            (None, before) => {
                text = splice(&text, range, &[]);
                file_goes = before == Before::NoFile && text.is_empty();
            }
        }
        removed.push(block.marker);
    }
    Left { text: (!file_goes).then_some(text), removed }
}

/// The profiles of ours in a file.
#[must_use]
pub fn list(text: &[u8]) -> Vec<Marker> {
    blocks(text).into_iter().map(|block| block.marker).collect()
}

/// Whether a credentials file has a section of this name: its keys would go before ours.
#[must_use]
pub fn has_section(text: &[u8], name: &ProfileName) -> bool {
    sections(text).any(|(_, section)| section == name.as_str())
}

struct Block {
    marker: Marker,
    before: Before,
    line_end: LineEnd,
    start_line: Range<usize>,
    range: Range<usize>,
}

/// Finds our profiles. One whose last line is missing is somebody else's text by now.
fn blocks(text: &[u8]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for range in lines(text) {
        let line = std::str::from_utf8(text.get(range.clone()).unwrap_or_default());
        let Ok(line) = line.map(|line| line.trim_end_matches('\n').trim_end_matches('\r')) else {
            continue;
        };
        if let Some((marker, before)) = read_start(line) {
            let line_end = LineEnd::of(text.get(range.clone()).unwrap_or_default());
            open = Some(Block { marker, before, line_end, start_line: range.clone(), range });
        } else if let Some(name) = between(line, END, END_END)
            && let Some(mut block) = open.take()
            && block.marker.name.as_str() == name
        {
            block.range.end = range.end;
            found.push(block);
        }
    }
    found
}

fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        start..at
    })
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(end)
}

fn read_start(line: &str) -> Option<(Marker, Before)> {
    let mut words = between(line, START, START_END)?.split(' ');
    let name = ProfileName::parse(words.next()?).ok()?;
    let login = words.next()?.strip_prefix("login=")?.to_owned();
    let app = AppName::parse(words.next()?.strip_prefix("app=")?).ok()?;
    let role = RoleArn::parse(words.next()?.strip_prefix("role=")?).ok()?;
    let before = match words.next()?.strip_prefix("before=")? {
        "line" => Before::Kept,
        "lf" => Before::Added(LineEnd::Lf),
        "crlf" => Before::Added(LineEnd::CrLf),
        "nothing" => Before::NoFile,
        _ => return None,
    };
    words.next().is_none().then_some((Marker { name, login, app, role }, before))
}

fn first_words(marker: &Marker, before: Before) -> String {
    let Marker { name, login, app, role } = marker;
    let before = match before {
        Before::Kept => "line",
        Before::Added(LineEnd::Lf) => "lf",
        Before::Added(LineEnd::CrLf) => "crlf",
        Before::NoFile => "nothing",
    };
    let name = name.as_str();
    format!("{START}{name} login={login} app={app} role={role} before={before}{START_END}")
}

fn start_line(block: &Block, before: Before) -> Vec<u8> {
    // Our own lines end as the file's did when they were written.
    format!("{}{}", first_words(&block.marker, before), block.line_end.text()).into_bytes()
}

fn block_text(marker: &Marker, lines: &[String], (before, end): (Before, LineEnd)) -> Vec<u8> {
    let name = marker.name.as_str();
    let section =
        if name == "default" { "[default]".to_owned() } else { format!("[profile {name}]") };
    let mut all = vec![first_words(marker, before), NOTE.to_owned(), section];
    all.extend(lines.iter().cloned());
    all.push(format!("{END}{name}{END_END}"));
    all.iter().flat_map(|line| format!("{line}{}", end.text()).into_bytes()).collect()
}

fn splice(text: &[u8], range: Range<usize>, with: &[u8]) -> Vec<u8> {
    let (start, end) = (text.get(..range.start), text.get(range.end..));
    [start.unwrap_or_default(), with, end.unwrap_or_default()].concat()
}

/// Names of the profiles that are not ours.
fn foreign_sections<'a>(text: &'a [u8], blocks: &'a [Block]) -> impl Iterator<Item = String> + 'a {
    sections(text)
        .filter(|(at, _)| !blocks.iter().any(|block| block.range.contains(at)))
        .filter_map(|(_, section)| match section.split_once(char::is_whitespace) {
            Some(("profile", name)) => Some(name.trim().trim_matches(['"', '\'']).to_owned()),
            None if section == "default" => Some(section),
            _ => None,
        })
}

/// Heads of sections, with their places.
fn sections(text: &[u8]) -> impl Iterator<Item = (usize, String)> + '_ {
    lines(text).filter_map(|range| {
        let line = String::from_utf8_lossy(text.get(range.clone())?).into_owned();
        let inner = line.trim().trim_start_matches('\u{feff}').strip_prefix('[')?;
        let (inner, _) = inner.split_once(']')?;
        Some((range.start, inner.trim().to_owned()))
    })
}
