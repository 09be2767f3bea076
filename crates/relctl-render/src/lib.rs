//! Shows plans, history, status and progress as text, markdown and JSON.
