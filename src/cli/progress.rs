//! Progress on long work: a bar or a counter on a terminal's standard error, nothing elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over that many bytes.
pub fn bytes(total: u64) -> ProgressBar {
    styled(
        ProgressBar::new(total),
        "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
    )
}

/// A counter of documents whose total nobody knows.
pub fn documents() -> ProgressBar {
    styled(
        ProgressBar::no_length(),
        "{spinner} {human_pos} documents {per_sec} {msg}",
    )
}

/// A bar over steps; their number is set as it becomes known.
pub fn steps() -> ProgressBar {
    styled(ProgressBar::no_length(), "{bar:30} {pos}/{len} {msg}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        return bar;
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
