//! What an operation did and the ledger could not take: kept on this machine, and given back.

use std::path::PathBuf;
use std::time::Duration;

use relctl_engine::{EngineError, Interrupt, Ledger as _, LedgerErrorKind};
use relctl_ledger::LedgerStore;

use crate::context::Session;
use crate::error::CommandError;
use crate::operation::say_took_over;

/// `$XDG_STATE_HOME/relctl/unsaved`.
fn folder(session: &Session) -> Option<PathBuf> {
    session.env.state_dir().map(|folder| folder.join("unsaved"))
}

/// The error for people. Lines that the ledger could not take are put into a copy here; where even
/// that fails, they are shown.
pub(crate) async fn keep(
    session: &Session,
    ledger: &LedgerStore,
    error: EngineError,
) -> CommandError {
    let EngineError::Unrecorded { operation, unsaved, .. } = &error else { return error.into() };
    let kept = match folder(session) {
        Some(folder) if !unsaved.is_empty() => {
            Some(ledger.keep_unsaved(&folder, operation, unsaved).await)
        }
        _ => None,
    };
    match kept {
        Some(Ok(file)) => {
            let lines = unsaved.len();
            let mut taken = CommandError::from(error);
            taken.details = vec![format!(
                "{lines} line(s) that it could not take are kept in `{}`",
                file.display()
            )];
            taken
        }
        Some(Err(failure)) => {
            session.ui.warn(&format!("no copy could be kept on this machine: {failure}"));
            error.into()
        }
        None => error.into(),
    }
}

/// Gives the ledger what an earlier run could not record of the operation that is open.
pub(crate) async fn give_back(
    session: &Session,
    ledger: &LedgerStore,
    lock_timeout: Duration,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let Some(folder) = folder(session) else { return Ok(()) };
    let Some(operation) = ledger.head().await?.operation else { return Ok(()) };
    let Some(copy) = ledger.unsaved(&folder, &operation.id)? else { return Ok(()) };
    let holder = session.holder(Some(operation.plan_id));
    let taken = async { Ok(ledger.lock(holder, lock_timeout).await?) };
    let lock = interrupt.unless_parked(taken).await?;
    say_took_over(&session.ui, lock.took_over());
    let restored = match lock.open_journal(&operation.id).await {
        Ok(journal) => journal.restore(&copy.lines).await,
        Err(error) => Err(error),
    };
    // The first error says more.
    let released = lock.release().await;
    if let Err(error) = restored {
        let untrusted = error.kind == LedgerErrorKind::Untrusted;
        let taken = CommandError::from(error);
        let file = copy.file.display();
        return Err(if untrusted {
            taken.hint(format!(
                "see what it says, and if the journal is right without it: rm {file}"
            ))
        } else {
            taken.hint(format!("nothing is lost: `{file}` still has it"))
        });
    }
    released?;
    copy.remove()?;
    session.ui.note(&format!(
        "Recorded {} line(s) that an earlier run could not record.",
        copy.lines.len()
    ));
    Ok(())
}
