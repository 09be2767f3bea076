//! What a plugin's bytes say before anything is compiled.

use relctl_broker::Grants;
use relctl_plan::Digest;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};

use crate::LoadFault;

/// The contract that this host speaks, and plugins say they were built for.
pub const CONTRACT: &str = "0.1";

/// The custom section that holds a plugin's contract version.
const CONTRACT_SECTION: &str = "relctl:contract";

/// What the package of the contract's interfaces is called.
const PACKAGE: &str = "relctl:provider/";

/// A component, read but not compiled.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) sha256: Digest,
    /// The interfaces that it imports, without package and version, sorted: `files`, `host`.
    pub(crate) imports: Vec<String>,
}

impl Artifact {
    /// Reads the component's outline: that it parses, its contract, its imports.
    pub(crate) fn read(wasm: &[u8], sha256: Digest) -> Result<Self, LoadFault> {
        let mut imports = Vec::new();
        let mut contract = None;
        let mut is_component = false;
        // Sections of nested modules and components come in between: depth 1 is the outermost.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(LoadFault::Parse)? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    is_component |= depth == 1 && encoding == Encoding::Component;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if section.name() == CONTRACT_SECTION => {
                    contract = Some(String::from_utf8_lossy(section.data()).into_owned());
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        let import = import.map_err(LoadFault::Parse)?;
                        // A name for a type of the contract; there is nothing to call in it.
                        if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                            imports.push(import.name.name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        if !is_component {
            return Err(LoadFault::NoComponent);
        }
        match contract {
            None => return Err(LoadFault::NoContract),
            Some(found) if found != CONTRACT => return Err(LoadFault::Contract { found }),
            Some(_) => {}
        }
        let mut imports =
            imports.into_iter().map(known_interface).collect::<Result<Vec<_>, _>>()?;
        imports.sort_unstable();
        Ok(Self { sha256, imports })
    }

    /// Checks that no capability is imported that is not granted at all. Which operations it asks
    /// for is known once it has described itself.
    pub(crate) fn check_grants(&self, grants: &Grants) -> Result<(), LoadFault> {
        let granted = |import: &str| match import {
            "files" => grants.files,
            "http" => !grants.http.is_empty(),
            _ => true,
        };
        let beyond: Vec<String> =
            self.imports.iter().filter(|import| !granted(import)).cloned().collect();
        if beyond.is_empty() { Ok(()) } else { Err(LoadFault::Capability(beyond)) }
    }
}

/// The interface's own name, if it is one of the contract's.
fn known_interface(import: String) -> Result<String, LoadFault> {
    let (name, version) = import.split_once('@').unwrap_or((&import, ""));
    match name.strip_prefix(PACKAGE) {
        Some(interface @ ("types" | "host" | "files" | "http"))
            if version.strip_prefix(CONTRACT).is_some_and(|patch| patch.starts_with('.')) =>
        {
            Ok(interface.to_owned())
        }
        _ => Err(LoadFault::Import { import }),
    }
}
