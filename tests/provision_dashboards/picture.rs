//! Draws a dashboard as SVG: its layout from its own definition, its numbers from a server's answers.
//! `PICKET_WRITE_PICTURES=1` writes it to docs/pictures. What documents say is escaped.

use std::fmt::Write as _;
use std::path::Path;

use picket::provision::kibana::search::{Panel, Times};
use serde_json::Value;

use super::charts;

/// The width of a column and the height of a row, in pixels.
const COLUMN: f64 = 24.0;
const ROW: f64 = 19.0;
const MARGIN: f64 = 16.0;
const GAP: f64 = 5.0;
/// What stands above the panels.
const HEAD: f64 = 92.0;
/// How wide a character is, about, in a font of 12 pixels.
const LETTER: f64 = 6.5;

/// A dashboard to draw.
pub(super) struct Board<'b> {
    /// What its file is called.
    pub(super) name: &'b str,
    pub(super) title: &'b str,
    /// The lists to choose from.
    pub(super) controls: Vec<String>,
    pub(super) times: Times,
    /// Of what its numbers are.
    pub(super) from: &'b str,
}

impl Board<'_> {
    /// Draws it, and keeps it if that is asked for.
    pub(super) fn keep(&self, answers: &[(Panel, Value)]) {
        let picture = self.draw(answers);
        if std::env::var_os("PICKET_WRITE_PICTURES").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{}.svg", self.name)), picture).unwrap();
        }
    }

    fn draw(&self, answers: &[(Panel, Value)]) -> String {
        let bottom = answers.iter().map(|(panel, _)| panel.at[1] + panel.at[3]);
        let bottom = bottom.max().unwrap_or(0) as f64;
        let (width, height) = (48.0 * COLUMN + 2.0 * MARGIN, bottom * ROW + HEAD + MARGIN);
        let mut svg = Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" \
             font-family=\"Inter,system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\" font-size=\"12\">\n"
        ));
        svg.rect(0.0, 0.0, width, height, "#f1f4fa", 8.0);
        svg.text(
            MARGIN + 4.0,
            30.0,
            &format!("Picket: {}", self.title),
            "font-size=\"20\" font-weight=\"700\" fill=\"#1a1c21\"",
        );
        let span = [self.times.0, self.times.1].map(|at| instant(at, "%Y-%m-%d %H:%M:%S"));
        let note = format!("{} to {} UTC", span[0], span[1]);
        svg.text(
            width - MARGIN - 4.0,
            30.0,
            &note,
            "text-anchor=\"end\" fill=\"#343741\"",
        );
        let honest = format!(
            "Not a screenshot: drawn from the dashboard's definition and a real server's answers to its searches, over {}.",
            self.from
        );
        svg.text(MARGIN + 4.0, 50.0, &honest, "fill=\"#69707d\"");
        let mut x = MARGIN;
        for control in &self.controls {
            let wide = control.chars().count() as f64 * LETTER + 90.0;
            svg.rect(x, 60.0, wide, 24.0, "#ffffff", 5.0);
            svg.text(
                x + 10.0,
                76.0,
                control,
                "font-weight=\"600\" fill=\"#343741\"",
            );
            svg.text(
                x + wide - 10.0,
                76.0,
                "Any ▾",
                "text-anchor=\"end\" fill=\"#69707d\"",
            );
            x += wide + 8.0;
        }
        for (panel, answer) in answers {
            let [x, y, w, h] = panel.at.map(|side| side as f64);
            let area = Area {
                x: x * COLUMN + MARGIN,
                y: y * ROW + HEAD,
                w: w * COLUMN,
                h: h * ROW,
            };
            self.panel(&mut svg, panel, answer, area);
        }
        svg.0.push_str("</svg>\n");
        svg.0
    }

    fn panel(&self, svg: &mut Svg, panel: &Panel, answer: &Value, area: Area) {
        let area = area.inside(GAP / 2.0);
        svg.rect(area.x, area.y, area.w, area.h, "#ffffff", 6.0);
        let title = cut(&panel.title, (area.w - 20.0) * 0.9);
        svg.text(
            area.x + 10.0,
            area.y + 18.0,
            &title,
            "font-weight=\"600\" fill=\"#1a1c21\"",
        );
        let inner = Area {
            x: area.x + 10.0,
            y: area.y + 28.0,
            w: area.w - 20.0,
            h: area.h - 36.0,
        };
        let asked = panel.kind != "markdown";
        let none = answer["hits"]["total"]["value"] == 0 && panel.kind != "metric";
        if asked && none {
            let (x, y) = (inner.x + inner.w / 2.0, inner.y + inner.h / 2.0);
            return svg.text(
                x,
                y,
                "No results found",
                "text-anchor=\"middle\" fill=\"#98a2b3\"",
            );
        }
        match panel.kind.as_str() {
            "histogram" => charts::bars(svg, panel, answer, inner, self.times),
            "pie" => charts::donut(svg, panel, answer, inner),
            "metric" => charts::number(svg, panel, answer, inner),
            "table" => charts::table(svg, panel, answer, inner),
            "search" => charts::rows(svg, panel, answer, inner),
            _ => charts::words(svg, panel, inner),
        }
    }
}

/// Where something is drawn.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Area {
    fn inside(self, by: f64) -> Self {
        Self {
            x: self.x + by,
            y: self.y + by,
            w: self.w - 2.0 * by,
            h: self.h - 2.0 * by,
        }
    }
}

/// What is drawn so far.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, fill: &str, round: f64) {
        let fill = escape(fill);
        writeln!(self.0, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{round}\" fill=\"{fill}\"/>").unwrap();
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str) {
        writeln!(
            self.0,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{stroke}\" fill=\"none\"/>",
            from.0, from.1, to.0, to.1
        )
        .unwrap();
    }

    /// A part of a ring, from and to as shares of the whole.
    pub(super) fn ring(&mut self, at: (f64, f64), radius: f64, from: f64, to: f64, colour: &str) {
        let width = radius * 0.42;
        let middle = radius - width / 2.0;
        let around = std::f64::consts::TAU * middle;
        let colour = escape(colour);
        writeln!(
            self.0,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{middle:.1}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"{width:.1}\" stroke-dasharray=\"{:.2} {:.2}\" transform=\"rotate({:.2} {:.1} {:.1})\"/>",
            at.0, at.1, (to - from) * around, around, from * 360.0 - 90.0, at.0, at.1
        )
        .unwrap();
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: &str) {
        writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>",
            escape(text)
        )
        .unwrap();
    }
}

/// As much of a text as there is room for.
pub(super) fn cut(text: &str, width: f64) -> String {
    let most = (width / LETTER).max(1.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}

pub(super) fn instant(at: i64, format: &str) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    time.format(format).to_string()
}

/// A text of a document, as it may stand in a page.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                escaped.push(' ')
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[test]
fn what_a_document_says_stays_text() {
    assert_eq!(
        escape("<a href='x'>&\u{7}\u{202e}"),
        "&lt;a href=&#39;x&#39;&gt;&amp;  "
    );
    assert_eq!(cut("abcdef", LETTER * 3.0), "ab…");
}
