//! Shows plans, history, status and progress as text, markdown and JSON.
//!
//! Every function takes what it shows and a [`Style`], and gives text: this crate never looks at
//! the terminal, the environment or the clock. Whatever users, plugins or clouds wrote is escaped,
//! so that no value can forge a line, a colour or a piece of markdown.
//!
//! Reading order: `text` makes text harmless and measures it; `value`, `change` and `compare` show
//! values and their differences; `plan` is the largest user of them; the others are small.

mod change;
mod compare;
mod error;
mod history;
mod import;
mod plan;
mod progress;
mod report;
mod snapshot;
mod status;
mod style;
mod text;
mod value;

pub use error::error_text;
pub use history::{LogLine, WholeEntry, drift_text, entry_text, log_text};
pub use import::{Import, import_json, import_toml};
pub use plan::{plan_json, plan_markdown, plan_text};
pub use progress::EventText;
pub use report::{EndReport, report_text};
pub use snapshot::snapshot_diff_text;
pub use status::{InForce, LastEntry, LockHolder, OpenStatus, Status, status_text};
pub use style::Style;
