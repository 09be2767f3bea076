//! Asking the plugins about a release file, without a ledger and without looking at the world.

use std::collections::BTreeMap;

use relctl_plan::{Address, Binding, Diagnostic, Instance, Release};

use crate::{EngineError, ObjectError, Providers, Subject};

/// Has each plugin check what is declared for it, as far as that is known without the others.
pub async fn validate(providers: &Providers, release: &Release) -> Result<(), EngineError> {
    let mut asked: BTreeMap<&Instance, Vec<Subject>> = BTreeMap::new();
    let mut errors = Vec::new();
    let mut refuse = |address: &Address, diagnostic: Diagnostic| {
        errors.push(ObjectError { address: address.clone(), diagnostic });
    };
    for (address, object) in &release.objects {
        match object.inputs.resolve(&|_| Binding::Unknown) {
            Ok(desired) => {
                let address = address.clone();
                let subject = Subject { address, desired: Some(desired.into()), prior: None };
                asked.entry(&object.plugin).or_default().push(subject);
            }
            Err(error) => {
                let (path, message, hint) = (error.path, error.message, error.hint);
                refuse(address, Diagnostic { path, message, hint });
            }
        }
    }
    for (plugin, subjects) in asked {
        let provider =
            providers.get(plugin).ok_or_else(|| EngineError::NoPlugin(plugin.clone()))?;
        let addresses: Vec<Address> = subjects.iter().map(|s| s.address.clone()).collect();
        for (address, answer) in addresses.iter().zip(provider.validate(subjects).await?) {
            for diagnostic in answer.err().unwrap_or_default() {
                refuse(address, diagnostic);
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_by(|a, b| a.address.cmp(&b.address));
    Err(EngineError::Objects(errors))
}
