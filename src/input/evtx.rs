//! Windows event log files, chunk by chunk as they are read, so that they stream out of archives
//! too. A chunk or record that is damaged costs no other.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use evtx::{EvtxChunkData, ParserSettings};

use super::{Sink, json};

/// The first bytes of a file.
pub(super) const MAGIC: [u8; 8] = *b"ElfFile\0";

/// The file's header, in bytes.
const HEADER: u64 = 4096;

/// A chunk, in bytes.
const CHUNK: usize = 1 << 16;

/// Reads a stream of `.evtx`.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let settings = Arc::new(ParserSettings::new().separate_json_attributes(false));
    if let Err(error) = std::io::copy(&mut input.take(HEADER), &mut std::io::sink()) {
        return sink.problem(None, format!("cannot be read: {error}"), None);
    }
    for number in 1_usize.. {
        let mut data = Vec::with_capacity(CHUNK);
        if let Err(error) = input.take(CHUNK as u64).read_to_end(&mut data) {
            let message = format!("cannot be read beyond chunk {number}: {error}");
            return sink.problem(None, message, None);
        }
        if data.is_empty() {
            break;
        }
        // Space that was reserved, and never used.
        if data.iter().all(|byte| *byte == 0) {
            continue;
        }
        if data.len() < CHUNK {
            let help = "the file is cut off; what can be read of the chunk was read";
            sink.problem(None, format!("chunk {number} is cut off"), Some(help))?;
            data.resize(CHUNK, 0);
        }
        read_chunk(data, number, &settings, sink)?;
    }
    ControlFlow::Continue(())
}

fn read_chunk(
    data: Vec<u8>,
    number: usize,
    settings: &Arc<ParserSettings>,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let damaged = |error: &dyn std::fmt::Display| format!("chunk {number} is damaged: {error}");
    let mut data = match EvtxChunkData::new(data, false) {
        Ok(data) => data,
        Err(error) => return sink.problem(None, damaged(&error), None),
    };
    let mut chunk = match data.parse(Arc::clone(settings)) {
        Ok(chunk) => chunk,
        Err(error) => return sink.problem(None, damaged(&error), None),
    };
    for record in chunk.iter() {
        let record = record.and_then(evtx::EvtxRecord::into_json_bytes);
        match record {
            Ok(record) => match json::check(&plain_id(&record.data)) {
                Ok(source) => sink.record(record.event_record_id, &source)?,
                Err(message) => {
                    let id = record.event_record_id;
                    sink.problem(None, format!("record {id} {message}"), None)?;
                }
            },
            Err(error) => sink.problem(None, damaged(&error), None)?,
        }
    }
    ControlFlow::Continue(())
}

/// The record with the number of its event as a number also where that has qualifiers, which then
/// stand beside it: one index cannot hold numbers and objects under one name.
fn plain_id(json: &[u8]) -> Cow<'_, [u8]> {
    const NAME: &[u8] = br#""EventID":"#;
    const HEAD: &[u8] = br##"{"#attributes":"##;
    const TEXT: &[u8] = br##","#text":"##;
    // Within a string the quotes would have backslashes before them.
    let plain = || {
        let at = memchr::memmem::find(json, NAME)? + NAME.len();
        let (before, rest) = json.split_at_checked(at)?;
        let rest = rest.strip_prefix(HEAD)?;
        let (attributes, rest) = rest.split_at_checked(memchr::memchr(b'}', rest)? + 1)?;
        let rest = rest.strip_prefix(TEXT)?;
        let (number, rest) = rest.split_at_checked(memchr::memchr(b'}', rest)?)?;
        let beside = br#","EventID_attributes":"#;
        Some([before, number, beside, attributes, rest.get(1..)?].concat())
    };
    plain().map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_event_is_a_number() {
        let with = br##"{"Event":{"System":{"EventID":{"#attributes":{"Qualifiers":16384},"#text":7045},"Level":4}}}"##;
        let plain = br#"{"Event":{"System":{"EventID":7045,"EventID_attributes":{"Qualifiers":16384},"Level":4}}}"#;
        assert_eq!(&*plain_id(with), plain);
        for as_it_is in [
            &plain[..],
            br##"{"EventID":{"#attributes":{"Qualifiers":16384}}}"##,
            br##"{"a":"\"EventID\":{\"#attributes\":{},\"#text\":1}"}"##,
            b"{}",
        ] {
            assert_eq!(&*plain_id(as_it_is), as_it_is);
        }
    }
}
