//! What is checked of a plan before anything of the cloud is looked at.

use relctl_plan::{Head, Plan};

use crate::{Context, EngineError};

/// The plugins are those that the plan was made with.
pub(crate) fn check_pins(context: Context<'_>, plan: &Plan) -> Result<(), EngineError> {
    for (instance, planned) in &plan.body.plugins {
        let provider = context
            .providers
            .get(instance)
            .ok_or_else(|| EngineError::NoPlugin(instance.clone()))?;
        let loaded = provider.pin();
        let stale = |what: &str| {
            Err(EngineError::Stale {
                message: format!("plugin `{instance}` is not the one of the plan: {what}"),
                hint: "plan again with the plugins that are here, and have that plan approved"
                    .to_owned(),
            })
        };
        if loaded.sha256 != planned.sha256 {
            return stale(&format!(
                "planned with {} ({}), loaded {} ({})",
                planned.version,
                planned.sha256.short(),
                loaded.version,
                loaded.sha256.short()
            ));
        }
        if loaded.grants != planned.grants {
            return stale("its grants differ");
        }
        if loaded.config != planned.config || loaded.auth != planned.auth {
            return stale("its configuration differs");
        }
    }
    Ok(())
}

/// The plan was made against this very head.
pub(crate) fn check_base(plan: &Plan, head: &Head) -> Result<(), EngineError> {
    let body = &plan.body;
    let stale = |message: String| {
        Err(EngineError::Stale {
            message,
            hint: "plan again, and have that plan approved".to_owned(),
        })
    };
    if body.release != head.release {
        return stale(format!(
            "the plan is for release `{}`, the ledger is of `{}`",
            body.release, head.release
        ));
    }
    if body.environment != head.environment {
        return stale(format!(
            "the plan is for {}, the ledger is of {}",
            environment(body.environment.as_deref()),
            environment(head.environment.as_deref())
        ));
    }
    if body.base.lineage != head.lineage {
        return stale("the plan was made against another ledger".to_owned());
    }
    if body.base.serial != head.serial || body.base.entry != head.entry {
        return stale(format!(
            "the plan was made after entry #{}, the ledger is at #{} now",
            body.base.serial, head.serial
        ));
    }
    Ok(())
}

fn environment(name: Option<&str>) -> String {
    name.map_or_else(|| "no environment".to_owned(), |name| format!("environment `{name}`"))
}

/// A plan applies once.
pub(crate) async fn not_applied(context: Context<'_>, plan: &Plan) -> Result<(), EngineError> {
    match context.ledger.applied(&plan.plan_id).await? {
        Some(serial) => {
            Err(EngineError::AppliedBefore { plan_id: plan.plan_id.short().to_owned(), serial })
        }
        None => Ok(()),
    }
}
