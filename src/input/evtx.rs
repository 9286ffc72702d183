//! Windows event log files, chunk by chunk as they are read, so that they stream out of archives
//! too. A chunk or record that is damaged costs no other.

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
            Ok(record) => match json::check(&record.data) {
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
