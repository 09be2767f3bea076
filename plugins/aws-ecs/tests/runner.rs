//! The plugin against an ECS that is scripted at the HTTP level: what no emulator shows.

mod cloud;
mod rollout;
mod task_definitions;
mod tasks;
