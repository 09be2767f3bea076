//! All output, and the one question. Data goes to stdout, everything else to stderr.

use std::io::{self, BufRead, IsTerminal, Write};

use relctl_render::{Style, error_text};
use serde::Serialize;
use serde_json::json;

use crate::cli::{ColorChoice, GlobalArgs};
use crate::env::Environment;
use crate::error::{CommandError, ErrorKind};

/// The terminal, or whatever stands in its place.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    /// One JSON document, or one event a line, instead of text.
    pub json: bool,
    quiet: bool,
    /// How data looks.
    style: Style,
    /// How messages look.
    message_style: Style,
    /// Whether a person watches stderr, so that lines may be redrawn.
    pub live: bool,
    /// Whether a person can answer a question.
    can_ask: bool,
}

/// Columns where there is no terminal that has a width.
const WIDTH: usize = 100;

impl Ui {
    pub(crate) fn new(global: &GlobalArgs, environment: &Environment) -> Self {
        let (stdout, stderr) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let width = terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
        let style = |is_terminal: bool| Style {
            color: match global.color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => {
                    environment.force_color
                        || (is_terminal && !environment.no_color && !environment.dumb_terminal)
                }
            },
            width: width.filter(|_| is_terminal).unwrap_or(WIDTH),
            // Files and pipes are UTF-8 whatever the terminal is.
            unicode: !(is_terminal && environment.ascii_terminal),
        };
        let person = !environment.ci && !global.json;
        Self {
            json: global.json,
            quiet: global.quiet,
            style: style(stdout),
            message_style: style(stderr),
            live: person && stderr && !environment.dumb_terminal && !global.quiet,
            can_ask: person && stderr && io::stdin().is_terminal(),
        }
    }

    /// How data looks.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// How messages look.
    pub(crate) fn message_style(&self) -> Style {
        self.message_style
    }

    /// Writes lines of data to stdout.
    pub(crate) fn lines(&self, lines: &[String]) -> Result<(), CommandError> {
        self.data(&(lines.join("\n") + "\n"))
    }

    /// Writes data to stdout, as it is.
    #[expect(clippy::unused_self, reason = "who writes must hold the one Ui")]
    pub(crate) fn data(&self, text: &str) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return CommandError::new(ErrorKind::BrokenPipe, "nobody reads the output");
            }
            CommandError::new(ErrorKind::File, "cannot write to stdout").cause(error.to_string())
        })
    }

    /// Writes to stdout beside something that happens whether or not it is read: whoever stopped
    /// reading neither keeps it from happening nor changes how it ended.
    pub(crate) fn tell(&self, text: &str) -> Result<(), CommandError> {
        match self.data(text) {
            Err(error) if error.kind == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Writes the command's one JSON document to stdout.
    pub(crate) fn document(&self, document: &impl Serialize) -> Result<(), CommandError> {
        let mut text = serde_json::to_string_pretty(document).map_err(|e| unwritable(&e))?;
        text.push('\n');
        self.data(&text)
    }

    /// Writes one event of a stream of JSON lines to stdout.
    pub(crate) fn event(&self, event: &impl Serialize) -> Result<(), CommandError> {
        let mut text = serde_json::to_string(event).map_err(|e| unwritable(&e))?;
        text.push('\n');
        self.data(&text)
    }

    /// Tells a person something.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            write_stderr(&format!("{text}\n"));
        }
    }

    /// Tells a person something that may be a mistake.
    #[expect(clippy::unused_self, reason = "who writes must hold the one Ui")]
    pub(crate) fn warn(&self, text: &str) {
        write_stderr(&format!("warning: {text}\n"));
    }

    /// Tells what went wrong, why, and what to do next.
    pub(crate) fn error(&self, error: &CommandError) {
        let style = self.message_style();
        if let Some(mistakes) = &error.mistakes {
            write_stderr(&mistakes.render(style.color));
            return;
        }
        let mut message = error.message.clone();
        for detail in &error.details {
            message.push('\n');
            message.push_str(detail.trim_end());
        }
        write_stderr(&error_text(&message, &error.causes, &error.hints, &style));
    }

    /// Asks for the word `yes`. Refuses where nobody can answer.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), CommandError> {
        if !self.can_ask {
            return Err(CommandError::new(
                ErrorKind::Approval,
                "nobody can be asked here: this is no terminal",
            )
            .hint("approve what is planned now: --auto-approve")
            .hint("approve exactly one plan: --expect PLAN_ID, as `relctl plan` shows it"));
        }
        write_stderr(&format!("\n{question} Only `yes` does it: "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(|error| {
            CommandError::new(ErrorKind::Approval, "cannot read the answer")
                .cause(error.to_string())
        })?;
        if answer.trim() == "yes" {
            return Ok(());
        }
        Err(CommandError::new(ErrorKind::Approval, "not approved; nothing was changed"))
    }
}

/// Tells a program that asked for JSON that its command line cannot be read: one line, which is a
/// document and an event.
pub(crate) fn usage_document(error: &clap::Error) {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let error = CommandError::new(ErrorKind::Usage, message).hint("see how it is used: --help");
    let document = json!({ "exit": ErrorKind::Usage.exit().code(), "error": error });
    // Where stdout is gone, stderr has said it.
    drop(writeln!(io::stdout(), "{document}"));
}

fn unwritable(error: &serde_json::Error) -> CommandError {
    CommandError::new(ErrorKind::File, "cannot write the output as JSON").cause(error.to_string())
}

/// Writes to stderr. Where even that fails, there is nobody left to tell.
fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}
