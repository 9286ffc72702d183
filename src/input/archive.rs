//! Recognises what a file holds and unpacks it: gzip, zip, UTF-16. Members are streamed, never
//! held; how deep archives may stand in one another, how many members they may have and how much
//! they may unpack to is bounded.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;

use super::{BUFFER, Sink, Tally, csv, evtx, json};

/// More members of an archive are not read.
const MAX_MEMBERS: usize = 100_000;

/// More than that is not unpacked of one file or member, in bytes.
const MAX_UNPACKED: u64 = 256 << 30;

/// Gzip in a zip, in gzip: more is an attack.
const MAX_DEPTH: usize = 3;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Evtx,
    Gzip,
    Zip,
    Utf16,
    Json,
    Csv,
    Empty,
    Unknown,
}

/// By its first bytes; by its name only where they may mean anything.
fn recognise(start: &[u8], name: &str) -> Content {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let ending = name.rsplit('.').next().unwrap_or_default();
    match start {
        [] => Content::Empty,
        _ if start.starts_with(&evtx::MAGIC) => Content::Evtx,
        [0x1f, 0x8b, ..] => Content::Gzip,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Content::Zip,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Content::Utf16,
        _ => match json::skip_mark(start).trim_ascii_start().first() {
            Some(b'{' | b'[') => Content::Json,
            None if ending != "csv" => Content::Empty,
            _ if csv::looks_like(json::skip_mark(start)) => Content::Csv,
            _ if ["json", "ndjson", "jsonl"].contains(&ending) => Content::Json,
            _ if ending == "csv" => Content::Csv,
            _ => Content::Unknown,
        },
    }
}

/// Reads a file that can be sought in, which zip needs.
pub(super) fn read_file<R: Read + Seek>(
    mut file: R,
    name: &str,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let mut start = [0; 4];
    let is_zip = file.read(&mut start).is_ok() && recognise(&start, "") == Content::Zip;
    if let Err(error) = file.seek(SeekFrom::Start(0)) {
        return sink.problem(None, format!("cannot be read: {error}"), None);
    }
    if is_zip {
        read_zip(file, name, sink)
    } else {
        read(&mut BufReader::with_capacity(BUFFER, file), name, 0, sink)
    }
}

fn read_zip<R: Read + Seek>(file: R, name: &str, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut archive = match ZipArchive::new(BufReader::with_capacity(BUFFER, file)) {
        Ok(archive) => archive,
        Err(error) => {
            return sink.problem(None, format!("is a damaged zip archive: {error}"), None);
        }
    };
    let mut members: Vec<(String, usize)> = (0..archive.len().min(MAX_MEMBERS))
        .filter_map(|at| Some((archive.name_for_index(at)?.ok()?.into_owned(), at)))
        .filter(|(name, _)| !name.ends_with('/') && !is_metadata(name))
        .collect();
    members.sort();
    if archive.len() > MAX_MEMBERS {
        let message = format!("has more than {MAX_MEMBERS} members; only so many are read");
        sink.problem(None, message, Some("unpack it and name the folder"))?;
    }
    for (member, at) in members {
        let full = format!("{name}!{member}");
        let mut sink = Sink {
            file: &full,
            host: sink.host,
            progress: sink.progress,
            tally: Tally::default(),
            each: sink.each,
        };
        match archive.by_index(at) {
            Ok(member) => {
                let mut input = BufReader::with_capacity(BUFFER, member.take(MAX_UNPACKED));
                read(&mut input, &full, 1, &mut sink)?;
            }
            Err(error) => sink.problem(
                None,
                format!("cannot be unpacked: {error}"),
                Some("unpack it by hand"),
            )?,
        }
    }
    ControlFlow::Continue(())
}

/// What macOS puts beside each file of an archive.
fn is_metadata(member: &str) -> bool {
    let name = member.rsplit('/').next().unwrap_or_default();
    member.starts_with("__MACOSX/") || name.starts_with("._")
}

/// Reads a stream. `depth`: how many archives it stands in.
pub(super) fn read(
    input: &mut dyn BufRead,
    name: &str,
    depth: usize,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let content = match input.fill_buf() {
        Ok(start) => recognise(start, name),
        Err(error) => return sink.problem(None, format!("cannot be read: {error}"), None),
    };
    match content {
        Content::Evtx => evtx::read(input, sink)?,
        Content::Json => json::read(input, sink)?,
        Content::Csv => csv::read(input, sink)?,
        Content::Gzip | Content::Utf16 if depth >= MAX_DEPTH => {
            sink.problem(None, "is packed too many times", Some("unpack it by hand"))?;
        }
        Content::Gzip => {
            let unpacked = MultiGzDecoder::new(input).take(MAX_UNPACKED);
            let mut input = BufReader::with_capacity(BUFFER, unpacked);
            read(&mut input, name, depth + 1, sink)?;
        }
        Content::Utf16 => {
            let mut input = BufReader::with_capacity(BUFFER, Utf16::new(input));
            read(&mut input, name, depth + 1, sink)?;
        }
        Content::Zip => sink.problem(
            None,
            "is a zip archive in an archive or on standard input, which is not read",
            Some("unpack it and name the file"),
        )?,
        Content::Empty => {}
        Content::Unknown => sink.problem(
            None,
            "is neither .evtx nor JSON nor a command history in CSV",
            None,
        )?,
    }
    sink.finish()
}

/// Decodes UTF-16, which PowerShell's `>` and `Out-File` write, to UTF-8.
struct Utf16<'a> {
    input: &'a mut dyn BufRead,
    big_endian: Option<bool>,
    high: Option<u16>,
    decoded: Vec<u8>,
    given: usize,
}

impl<'a> Utf16<'a> {
    fn new(input: &'a mut dyn BufRead) -> Self {
        Self {
            input,
            big_endian: None,
            high: None,
            decoded: Vec::new(),
            given: 0,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        let mut raw = [0; 4096];
        let mut length = 0;
        // Pairs of bytes must not be torn.
        while length == 0 || length % 2 == 1 {
            let count = self.input.read(&mut raw[length..])?;
            if count == 0 {
                break;
            }
            length += count;
        }
        self.decoded.clear();
        self.given = 0;
        let big_endian = *self
            .big_endian
            .get_or_insert(raw.starts_with(&[0xfe, 0xff]));
        let units = raw[..length].as_chunks::<2>().0.iter().map(|pair| {
            if big_endian {
                u16::from_be_bytes(*pair)
            } else {
                u16::from_le_bytes(*pair)
            }
        });
        let mut units: Vec<u16> = self.high.take().into_iter().chain(units).collect();
        if length > 0 {
            self.high = units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
        }
        for unit in char::decode_utf16(units) {
            let character = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
            let mut bytes = [0; 4];
            let text = character.encode_utf8(&mut bytes);
            self.decoded.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

impl Read for Utf16<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.decoded.len() {
            self.decode()?;
            // A chunk of nothing but half a character.
            if self.decoded.is_empty() && self.high.is_some() {
                self.decode()?;
            }
        }
        let rest = &self.decoded[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}
