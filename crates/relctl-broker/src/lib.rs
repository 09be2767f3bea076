//! Does all input and output on behalf of plugins, within their grants.
//!
//! A plugin reaches the world through two capabilities and no others: [`Files`] under one root, and
//! cloud APIs through an [`HttpTransport`]. Both are handed a [`CallContext`], which says in which
//! [`Phase`] the plugin was called; both deny by default, and say what they denied.

mod call;
mod durable;
mod files;
mod grants;
pub mod http;
mod transport;

pub use call::{CallContext, Phase};
pub use files::{FileError, Files, Node};
pub use grants::{Grants, Operations};
pub use transport::{Access, HttpError, HttpRequest, HttpResponse, HttpTransport};
