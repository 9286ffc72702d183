//! Finds the 50 commands of DetectLM's table in a command line, wherever they stand as a command.
//! Reads the line as cmd.exe would, as far as that tells commands from arguments; never resolves
//! variables and never allocates more than the line is long.

/// The commands, in the order of the table's columns. `net_time` is `net time`.
pub(crate) const COMMANDS: [&str; 50] = [
    "tasklist",
    "ver",
    "ipconfig",
    "net_time",
    "cd",
    "systeminfo",
    "netstat",
    "whoami",
    "nbtstat",
    "net_start",
    "set",
    "qprocess",
    "nslookup",
    "fsutil",
    "net_view",
    "type",
    "net_use",
    "echo",
    "net_user",
    "net_group",
    "net_localgroup",
    "dsquery",
    "net_config",
    "csvde",
    "net_share",
    "quser",
    "net_session",
    "query",
    "tracert",
    "nltest",
    "at",
    "move",
    "schtasks",
    "copy",
    "ren",
    "reg",
    "wmic",
    "powershell",
    "md",
    "cscript",
    "runas",
    "sc",
    "netsh",
    "wusa",
    "icacls",
    "del",
    "taskkill",
    "klist",
    "wevtutil",
    "rd",
];

/// Other names of the same commands.
const ALIASES: [(&str, &str); 5] = [
    ("chdir", "cd"),
    ("mkdir", "md"),
    ("rmdir", "rd"),
    ("erase", "del"),
    ("rename", "ren"),
];

/// Commands inside cmd.exe that need no space before these characters: `cd..`, `echo.`, `md\a`.
const GLUED: [(&str, &[u8]); 4] = [
    ("cd", b".\\"),
    ("chdir", b".\\"),
    ("echo", b".:+[]("),
    ("md", b"\\"),
];

/// `cmd /c "cmd /c ..."` is followed that deep.
const MAX_DEPTH: usize = 8;
/// No command has a longer name, path included.
const MAX_WORD: usize = 512;

/// A command in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its position in [`COMMANDS`].
    pub(crate) command: usize,
    /// Where it begins, in bytes of the line.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

/// Calls `found` for each command of the line.
pub(crate) fn commands(line: &str, found: &mut dyn FnMut(Found)) {
    Walk {
        line: line.as_bytes(),
        found,
    }
    .lines(0, line.len(), 0);
}

struct Walk<'a> {
    line: &'a [u8],
    found: &'a mut dyn FnMut(Found),
}

/// The name that a word gives a command.
enum Name {
    Table(usize),
    Net,
    Shell,
    Start,
    /// What stands before a command without being one: `call`, `do`, `else`.
    Prefix,
}

/// A word without quotes and carets, each byte with its place in the line.
struct Word {
    text: Vec<u8>,
    places: Vec<usize>,
    start: usize,
    end: usize,
}

impl Walk<'_> {
    /// Splits at what separates commands.
    fn lines(&mut self, from: usize, to: usize, depth: usize) {
        let (mut start, mut at, mut quoted) = (from, from, false);
        while at < to {
            match self.line[at] {
                b'\r' | b'\n' => {
                    self.command(start, at, depth);
                    (start, quoted) = (at + 1, false);
                }
                b'"' => quoted = !quoted,
                b'^' if !quoted => at += 1,
                b'&' | b'|' | b'(' | b')' if !quoted => {
                    self.command(start, at, depth);
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        self.command(start, to, depth);
    }

    /// One command with its arguments.
    fn command(&mut self, mut from: usize, to: usize, depth: usize) {
        loop {
            let Some(word) = self.word(from, to) else {
                return;
            };
            let Some((name, end)) = name(&word) else {
                return;
            };
            match name {
                Name::Table(command) => {
                    return (self.found)(Found {
                        command,
                        start: word.start,
                        end,
                    });
                }
                Name::Net => return self.net(&word, end, to),
                Name::Shell => return self.shell(end, to, depth),
                Name::Start => from = self.after_start(end, to),
                Name::Prefix => from = end,
            }
        }
    }

    /// The next word, which ends where cmd.exe ends a command's name.
    fn word(&self, from: usize, to: usize) -> Option<Word> {
        let lead = |byte: &u8| b" \t,;=@'`".contains(byte);
        let start = from
            + self
                .line
                .get(from..to)?
                .iter()
                .position(|byte| !lead(byte))?;
        let mut word = Word {
            text: Vec::new(),
            places: Vec::new(),
            start,
            end: to,
        };
        let (mut at, mut quoted) = (start, false);
        while at < to {
            let byte = self.line[at];
            match byte {
                b'"' => quoted = !quoted,
                b'^' if !quoted => {}
                b' ' | b'\t' | b',' | b';' | b'=' | b'<' | b'>' | b'\'' | b'`' if !quoted => break,
                _ if word.text.len() < MAX_WORD => {
                    word.text.push(byte.to_ascii_lowercase());
                    word.places.push(at);
                }
                _ => {}
            }
            at += 1;
        }
        word.end = at.min(to);
        Some(word)
    }

    /// `net user`: the second word says which.
    fn net(&mut self, net: &Word, end: usize, to: usize) {
        let Some(word) = self.word(end, to) else {
            return;
        };
        let slash = word.text.iter().position(|byte| *byte == b'/');
        let verb = &word.text[..slash.unwrap_or(word.text.len())];
        let verb: &[u8] = match verb {
            b"users" | b"groups" | b"localgroups" => &verb[..verb.len() - 1],
            verb => verb,
        };
        let command = COMMANDS.iter().position(|name| {
            name.strip_prefix("net_")
                .is_some_and(|name| name.as_bytes() == verb)
        });
        if let Some(command) = command {
            let end = slash.map_or(word.end, |slash| word.places[slash]);
            (self.found)(Found {
                command,
                start: net.start,
                end,
            });
        }
    }

    /// `cmd /q /c ...`: what follows `/c`, `/k` or `/r` is a command line of its own.
    fn shell(&mut self, mut at: usize, to: usize, depth: usize) {
        while at < to {
            match self.line[at] {
                b' ' | b'\t' | b',' | b';' | b'=' | b'^' | b'"' => at += 1,
                b'/' => match self.line.get(at + 1).map(u8::to_ascii_lowercase) {
                    Some(b'c' | b'k' | b'r') if depth < MAX_DEPTH => {
                        let (from, to) = self.unquoted((at + 2).min(to), to);
                        return self.lines(from, to, depth + 1);
                    }
                    _ => {
                        let rest = &self.line[at + 1..to];
                        at += 1 + rest
                            .iter()
                            .position(|byte| b" \t/\"".contains(byte))
                            .unwrap_or(rest.len());
                    }
                },
                _ => return,
            }
        }
    }

    /// Without the first quote and the last, as cmd.exe takes them off.
    fn unquoted(&self, from: usize, to: usize) -> (usize, usize) {
        let inside = &self.line[from..to];
        let blank = inside
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if inside.get(blank) != Some(&b'"') {
            return (from, to);
        }
        let first = from + blank + 1;
        let last = self.line[first..to].iter().rposition(|byte| *byte == b'"');
        let Some(last) = last.map(|last| first + last) else {
            return (first, to);
        };
        // `"a" b "c"` keeps its quotes: the first pair is a word of its own.
        let between = self.line[first..last]
            .iter()
            .filter(|byte| **byte == b'"')
            .count();
        let is_word = self.line[last + 1..to]
            .iter()
            .any(|byte| !byte.is_ascii_whitespace());
        if between == 0 && !is_word || between > 0 && between % 2 == 0 {
            (first, last)
        } else {
            (from + blank, to)
        }
    }

    /// Where the command of `start "title" /d path /b command` begins.
    fn after_start(&self, mut at: usize, to: usize) -> usize {
        let mut first = true;
        while let Some(word) = self.word(at, to) {
            let quoted_title = first && self.line.get(word.start) == Some(&b'"');
            let option = word.text.first() == Some(&b'/');
            if !quoted_title && !option {
                return word.start;
            }
            at = word.end;
            if matches!(
                &word.text[..],
                b"/d" | b"/node" | b"/affinity" | b"/machine"
            ) {
                at = self.word(at, to).map_or(to, |path| path.end);
            }
            first &= !quoted_title && option;
        }
        to
    }
}

/// What a word names, and where the name ends in the line.
fn name(word: &Word) -> Option<(Name, usize)> {
    let is_program = word.text.ends_with(b".exe") || word.text.ends_with(b".com");
    let glued = GLUED.iter().find(|(command, next)| {
        let rest = word.text.strip_prefix(command.as_bytes());
        rest.and_then(<[u8]>::first)
            .is_some_and(|byte| next.contains(byte))
    });
    if let Some((command, _)) = glued
        && !is_program
    {
        return Some((known(command.as_bytes())?, word.places[command.len()]));
    }
    // `ipconfig/all`: an option may follow without a space.
    if let Some(slash) = word.text.iter().position(|byte| *byte == b'/')
        && let Some(name) = known(base(&word.text[..slash]))
    {
        return Some((name, word.places[slash]));
    }
    Some((known(base(&word.text))?, word.end))
}

/// The last part of a path, without `.exe`.
fn base(path: &[u8]) -> &[u8] {
    let from = path
        .iter()
        .rposition(|byte| b"\\/".contains(byte))
        .map_or(0, |at| at + 1);
    let name = &path[from..];
    name.strip_suffix(b".exe")
        .or_else(|| name.strip_suffix(b".com"))
        .unwrap_or(name)
}

fn known(name: &[u8]) -> Option<Name> {
    match name {
        b"cmd" | b"%comspec%" => Some(Name::Shell),
        b"net" | b"net1" => Some(Name::Net),
        b"start" => Some(Name::Start),
        b"call" | b"do" | b"else" => Some(Name::Prefix),
        name => {
            let name = ALIASES
                .iter()
                .find(|(alias, _)| alias.as_bytes() == name)
                .map_or(name, |(_, command)| command.as_bytes());
            COMMANDS
                .iter()
                .position(|command| command.as_bytes() == name)
                .map(Name::Table)
        }
    }
}
