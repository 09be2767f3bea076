//! How output looks: handed in by whoever knows the terminal.

use relctl_plan::{Severity, Verb};

/// How to show things. This crate never looks at the terminal or the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to write ANSI colours. Colour never carries meaning alone.
    pub color: bool,
    /// Columns to lay out for. Less than 60 is laid out as 60, more than 120 as 120: what stands
    /// far apart is hard to read as one line.
    pub width: usize,
    /// Whether relctl's own signs may be other than ASCII. What users wrote stays as it is.
    pub unicode: bool,
}

/// What a piece of text is, for colouring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Heading,
    Quiet,
    Good,
    Change,
    Bad,
}

impl Style {
    /// No colour, 100 columns, all signs: for files, comments and tests.
    pub const PLAIN: Self = Self { color: false, width: 100, unicode: true };

    pub(crate) fn columns(self) -> usize {
        self.width.clamp(60, 120)
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Change => "33",
            Tone::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    pub(crate) fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    pub(crate) fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    pub(crate) fn times(self) -> &'static str {
        if self.unicode { "×" } else { "x" }
    }

    /// Between the ends of a range of numbers.
    pub(crate) fn to(self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// Stands for the own name of each of several objects.
    pub(crate) fn own_name(self) -> &'static str {
        if self.unicode { "‹name›" } else { "<name>" }
    }

    pub(crate) fn glyph(self, verb: Verb) -> &'static str {
        match verb {
            Verb::Create => "+",
            Verb::Update => "~",
            Verb::Replace => "-/+",
            Verb::Delete => "-",
            Verb::Adopt => "=",
            Verb::Run if self.unicode => "▶",
            Verb::Run => ">",
            Verb::Check if self.unicode => "✓",
            Verb::Check => "?",
        }
    }
}

pub(crate) fn tone_of(verb: Verb) -> Tone {
    match verb {
        Verb::Create => Tone::Good,
        Verb::Update | Verb::Run => Tone::Change,
        Verb::Replace | Verb::Delete => Tone::Bad,
        Verb::Adopt | Verb::Check => Tone::Quiet,
    }
}

pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::PointOfNoReturn => "point of no return",
        Severity::Destructive => "destructive",
        Severity::Downtime => "downtime",
        Severity::Caution => "caution",
    }
}
