//! Does all input and output on behalf of plugins, within their grants.
